"""Any operation has a latency: by a kernel of its own, or exported alone as it stands in the network."""

from collections import Counter
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from latency_models.kernel import Kernel
from latency_models.layouts import blocked
from latency_models.runtimes.onnxruntime import kept_operations
from merges.network import Network, analyse
from search.scoring.device import Device
from search.scoring.latency import Latencies
from training.export import to_onnx

SHAPE = (3, 24, 24)
# As `kept_operations` names them; a product is a gate, a product of maps, or part of an activation.
RUN = {"conv": "Conv", "reorder_in": "ReorderInput", "reorder_out": "ReorderOutput", "silu": "QuickGelu"}


class Gated(nn.Module):
    """An inverted residual with a gate, as mobile networks have them."""

    def __init__(self, act: nn.Module, gate: nn.Module) -> None:
        super().__init__()
        self.stem, self.widen = nn.Conv2d(3, 16, 3, 2, 1), nn.Conv2d(16, 48, 1)
        self.deep = nn.Conv2d(48, 48, 5, padding=2, groups=48)
        self.squeeze, self.excite = nn.Conv2d(48, 16, 1), nn.Conv2d(16, 48, 1)
        self.project, self.head = nn.Conv2d(48, 16, 1), nn.Linear(16, 10)
        self.act, self.gate, self.pool = act, gate, nn.AdaptiveAvgPool2d(1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.act(self.stem(x))
        y = self.act(self.deep(self.act(self.widen(x))))
        y = y * self.gate(self.excite(torch.relu(self.squeeze(self.pool(y)))))
        return self.head(self.pool(x + self.project(y)).flatten(1))


class Odd(nn.Module):
    """Operations that no kernel describes."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.up = nn.Conv2d(3, 8, 3, 2, 1), nn.ConvTranspose2d(8, 8, 2, 2)
        self.norm, self.mix, self.act = nn.LayerNorm(8), nn.Linear(8, 8), nn.PReLU(8)
        self.groups, self.line, self.head = (
            nn.GroupNorm(2, 8),
            nn.Conv1d(1, 1, 3, padding=1),
            nn.Linear(8, 10),
        )

    def forward(self, x: Tensor) -> Tensor:
        x = self.act(self.stem(x))
        y = self.mix(self.norm(x.permute(0, 2, 3, 1))).permute(0, 3, 1, 2)
        flat = y.flatten(2)
        y = y + (flat @ flat.transpose(1, 2)).softmax(-1).mean(dim=1)[:, :, None, None]
        y = self.groups(nn.functional.pad(self.up(y), (0, 1, 0, 1)))
        y = nn.functional.interpolate(y, scale_factor=2.0)[:, :, 1:-1] - 0.5
        pooled = y.mean((2, 3))
        return self.head(pooled * self.line(pooled[:, None])[:, 0].sigmoid())


def read(model: nn.Module) -> Network:
    torch.manual_seed(0)
    return analyse("n", model.eval(), SHAPE)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("act", "gate"),
    [(nn.Hardswish(), nn.Hardsigmoid()), (nn.SiLU(), nn.Sigmoid()), (nn.LeakyReLU(), nn.Sigmoid())],
    ids=["mobilenet v3", "efficientnet", "leaky"],
)
def test_gates_and_activations_are_fused_and_copied_as_the_runtime_does(
    act: nn.Module, gate: nn.Module, tmp_path: Path
) -> None:
    network = read(Gated(act, gate))
    to_onnx(network.merged({}), SHAPE, tmp_path / "m.onnx")
    ran = Counter(kept_operations(str(tmp_path / "m.onnx")))
    kernels = Counter(
        layer.kernel.op for layer in Latencies(network, Device.named("host", tmp_path)).layers({})
    )
    assert {op: kernels[op] for op in RUN} == {op: ran[name] for op, name in RUN.items()}
    assert kernels["gate"] == ran["Mul"] == 1


@pytest.mark.slow
@pytest.mark.parametrize("target", ["host", "host-ncnn"])
def test_operations_without_a_kernel_are_timed_alone(target: str, tmp_path: Path) -> None:
    network = read(Odd())
    found = Latencies(network, Device.named(target, tmp_path)).by_layer(None)
    assert all(latency.us > 0 and latency.kind == "measured" for _, latency in found)
    odd = {layer.kernel.op: layer.kernel for layer, _ in found if layer.kernel.details}
    assert odd.keys() >= {"permute", "layernorm", "linear of maps", "matmul", "softmax", "convtranspose2d"}
    assert odd["matmul"].macs == 8 * 8 * 144
    assert odd["linear of maps"].macs == 144 * 64
    assert odd["convtranspose2d"].macs == 8 * 144 * 8 * 4
    again = Device.named(target, tmp_path)
    assert all(again.table.get(kernel) is not None for kernel in odd.values()), "kept with their details"


def test_arm_targets_price_what_mobile_networks_hold(tmp_path: Path) -> None:
    device = Device.named("raspberry-pi-4", tmp_path)
    for model in (Gated(nn.Hardswish(), nn.Hardsigmoid()), Gated(nn.SiLU(), nn.Sigmoid()), Odd()):
        found = Latencies(read(model), device).by_layer(None)
        assert all(latency.us > 0 for _, latency in found)


def test_a_sum_or_product_of_other_shapes_is_not_priced_by_the_usual_one(tmp_path: Path) -> None:
    class Broadcast(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.head = nn.Conv2d(3, 8, 3), nn.Conv2d(3, 8, 3), nn.Linear(8, 10)

        def forward(self, x: Tensor) -> Tensor:
            rows = self.b(x).mean(3, keepdim=True)
            return self.head((self.a(x) + rows).mul(rows).mean((2, 3)))

    layers = Latencies(read(Broadcast()), Device.named("raspberry-pi-4", tmp_path)).layers({})
    assert {layer.kernel.op for layer in layers if layer.kernel.details} == {"add", "mul", "mean"}
    assert all(layer.kernel.details for layer in layers if layer.kernel.op in ("add", "mul"))


def test_activations_outside_of_convolutions_stay_in_blocks_only_where_the_runtime_has_them() -> None:
    from latency_models.kernel import Layer

    shape = (16, 8, 8)
    conv = Kernel("conv", shape, shape, (3, 3), (1, 1), (1, 1))
    for op, copies in (("silu", 0), ("sigmoid", 0), ("relu6", 2), ("gelu", 2), ("leakyrelu", 2)):
        layers = [
            Layer("a", conv, ("x",)),
            Layer("pool", Kernel("maxpool", shape, shape, (3, 3), (1, 1), (1, 1)), ("a",)),
            Layer("act", Kernel(op, shape, shape), ("pool",)),
            Layer("b", conv, ("act",)),
        ]
        made = Counter(layer.kernel.op for layer in blocked(layers, 8, {"relu"}))
        assert made["reorder_in"] + made["reorder_out"] - 2 == copies, op  # two at the ends


class Branches(nn.Module):
    """A stage of blocks that sum a norm of their input with convolutions, as MobileOne has them."""

    def __init__(self, blocks: int) -> None:
        super().__init__()
        self.stem, self.head = nn.Conv2d(3, 32, 3, 2, 1), nn.Linear(32, 10)
        self.norms = nn.ModuleList(nn.BatchNorm2d(32) for _ in range(blocks))
        self.ones = nn.ModuleList(nn.Conv2d(32, 32, 1) for _ in range(2 * blocks))

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.stem(x))
        for number, norm in enumerate(self.norms):
            x = torch.relu(norm(x) + self.ones[2 * number](x) + self.ones[2 * number + 1](x))
        return self.head(x.mean((2, 3)))


@pytest.mark.slow
def test_plans_are_scored_as_a_whole_where_what_blocks_change_does_not_add_up(tmp_path: Path) -> None:
    network = read(Branches(4))
    assert len(network.blocks) >= 4
    latencies = Latencies(network, Device.named("host", tmp_path))
    plan = {site.id: site.names[-1] for site in network.sites}
    score = latencies.score(plan)
    whole = sum(latencies.latency(layer.kernel).us for layer in latencies.layers(plan))
    assert score.latency_ms == pytest.approx(whole / 1000)
    assert score.latency_ms > 0
