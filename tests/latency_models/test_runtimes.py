"""One contract for every discovered runtime; what can be run here is checked against what runs."""

from collections import Counter
from pathlib import Path
from typing import ClassVar

import numpy as np
import onnxruntime
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from latency_models import board, kit, measure, runtime
from latency_models.board import rounds
from latency_models.board.timed import Timed
from latency_models.kernel import Kernel, Layer
from latency_models.onnx_model import EMPTY, OPS, one_kernel_model
from latency_models.runtimes.onnxruntime import RUNTIME as ONNXRUNTIME
from latency_models.runtimes.onnxruntime import kept_operations
from latency_models.table import Measurement
from latency_models.target import Target
from merges.network import Network
from search.scoring.device import Device
from search.scoring.latency import Latencies
from training.export import to_onnx

RUNTIMES = runtime.discover()
KERNELS = [
    Kernel("conv", (3, 12, 12), (8, 6, 6), (3, 3), (2, 2), (1, 1), activation="relu"),
    Kernel("conv", (4, 12, 12), (8, 12, 12), (3, 3), (1, 1), (1, 1), groups=2),
    Kernel("linear", (32, 1, 1), (10, 1, 1)),
    Kernel("maxpool", (4, 11, 11), (4, 6, 6), (3, 3), (2, 2), (1, 1)),
    Kernel("maxpool", (4, 12, 12), (4, 6, 6), (3, 3), (2, 2), (0, 0)),
    Kernel("avgpool", (4, 7, 7), (4, 1, 1), (7, 7)),
    Kernel("avgpool", (4, 8, 8), (4, 4, 4), (2, 2), (2, 2)),
    Kernel("lrn", (8, 6, 6), (8, 6, 6), (5, 1)),
    Kernel("relu", (8, 6, 6), (8, 6, 6)),
    Kernel("relu6", (8, 6, 6), (8, 6, 6)),
    Kernel("batchnorm", (8, 6, 6), (8, 6, 6)),
    Kernel("mean", (8, 6, 6), (8, 1, 1), (6, 6)),
    Kernel("conv", (32, 6, 6), (32, 6, 6), (3, 3), (1, 1), (1, 1), activation="relu6"),
    Kernel("add", (8, 6, 6), (8, 6, 6)),
    Kernel("concat", (8, 6, 6), (8, 6, 6), parts=(3, 5)),
    Kernel("split", (8, 6, 6), (8, 6, 6), parts=(3, 5)),
    Kernel("mul", (8, 6, 6), (8, 6, 6)),
    Kernel("gate", (8, 6, 6), (8, 6, 6)),
    *(Kernel(op, (8, 6, 6), (8, 6, 6)) for op in ("sigmoid", "tanh", "hardsigmoid", "hardswish")),
    *(Kernel(op, (8, 6, 6), (8, 6, 6)) for op in ("silu", "leakyrelu", "gelu")),
    Kernel("conv", (32, 6, 6), (32, 6, 6), (3, 3), (1, 1), (1, 1), activation="hardswish"),
]
CHAIN = [
    Layer("conv", Kernel("conv", (3, 8, 8), (4, 8, 8), (3, 3), (1, 1), (1, 1)), ("x",)),
    Layer("relu", Kernel("relu", (4, 8, 8), (4, 8, 8)), ("conv",)),
    Layer("flat", Kernel("flatten", (4, 8, 8), (256, 1, 1)), ("relu",)),
    Layer("fc", Kernel("linear", (256, 1, 1), (10, 1, 1)), ("flat",)),
]


def names_of(layers: list[Layer]) -> list[str]:
    """Names of the layers that compute something (not the copies between layouts)."""
    return [layer.name for layer in layers if not layer.kernel.op.startswith("reorder")]


@pytest.mark.parametrize("name", sorted(RUNTIMES))
def test_fusing_keeps_the_work_and_adds_nothing(name: str) -> None:
    fused = RUNTIMES[name].fuse(CHAIN)
    assert [layer.name for layer in fused if layer.kernel.macs] == ["conv", "fc"]
    assert set(names_of(fused)) <= {layer.name for layer in CHAIN}
    assert sum(layer.kernel.macs for layer in fused) == sum(layer.kernel.macs for layer in CHAIN)


def here(runtime_name: str, **more: object) -> Target:
    return Target("bench", "d", runtime_name, 1, str(more.pop("precision", "fp32")), "measured", "s", **more)  # type: ignore[arg-type]


def timed(runtime_name: str, kernels: list[Kernel]) -> list[Measurement]:
    rows: list[Measurement] = []
    measure.measure(RUNTIMES[runtime_name], here(runtime_name), kernels, rows.extend)
    return rows


@pytest.mark.parametrize("name", sorted(RUNTIMES))
def test_a_runtime_runs_here_or_says_that_it_does_not(name: str) -> None:
    assert RUNTIMES[name].version()
    if RUNTIMES[name].timed is None:
        with pytest.raises(kit.NotMeasurableError, match="cannot be run"):
            timed(name, KERNELS[:1])
    else:
        assert timed(name, KERNELS[:1])[0].median_us > 0


def test_an_activation_read_twice_is_still_fused_but_a_shared_convolution_is_not() -> None:
    relu = Kernel("relu", (4, 8, 8), (4, 8, 8))
    layers = [*CHAIN[:1], Layer("a", relu, ("conv",)), Layer("b", relu, ("conv",))]
    assert names_of(ONNXRUNTIME.fuse(layers)) == ["conv", "a", "b"]
    layers = [
        *CHAIN[:2],
        Layer("a", relu, ("relu",)),
        Layer("sum", Kernel("add", *[(4, 8, 8)] * 2), ("relu", "a")),
    ]
    assert names_of(ONNXRUNTIME.fuse(layers)) == ["conv", "a", "sum"]


@pytest.mark.parametrize("kernel", KERNELS, ids=lambda k: k.key)
def test_one_kernel_models_run_the_kernel_between_its_neighbours(kernel: Kernel) -> None:
    made_model, own = one_kernel_model(kernel), OPS[kernel.op]
    beside = next(node.op_type for node in made_model.graph.node if node.name == EMPTY)
    model = made_model.SerializeToString()
    found = sum(op in own for op in kept_operations(model)) - (beside in own)
    assert found == {"hardswish": 2, "gelu": 5}.get(kernel.op, 1)
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    feeds = {i.name: np.zeros(i.shape, np.float32) for i in session.get_inputs()}
    made = session.run(None, feeds)[0].shape
    assert made[1] == kernel.out_shape[0]
    first = next(iter(feeds.values()))
    assert first.shape[1] in (kernel.in_shape[0], *kernel.parts)


def test_unknown_operations_cannot_be_measured() -> None:
    with pytest.raises(kit.NotMeasurableError, match="wavelet"):
        timed("onnxruntime", [Kernel("wavelet", (3, 4, 4), (3, 4, 4))])


def test_other_precisions_are_refused() -> None:
    with pytest.raises(kit.NotMeasurableError, match="int8; only fp32"):
        measure.measure(ONNXRUNTIME, here("onnxruntime", precision="int8"), KERNELS, lambda _: None)


def test_every_kernel_is_measured_once_with_its_spread() -> None:
    seen: list[tuple[int, int]] = []
    rows: list[Measurement] = []
    measure.measure(
        ONNXRUNTIME, here("onnxruntime"), KERNELS, rows.extend, lambda done, total: seen.append((done, total))
    )
    assert [row.kernel for row in rows] == KERNELS
    assert all(row.median_us > 0 and row.spread_us >= 0 and row.repeats >= 9 for row in rows)
    assert all("1 thread(s)" in row.source and onnxruntime.__version__ in row.source for row in rows)
    assert seen[-1] == (len(KERNELS), len(KERNELS))


def test_a_board_that_was_cut_off_goes_on_where_it_stopped(tmp_path: Path) -> None:
    kit.write(tmp_path, here("onnxruntime"), ONNXRUNTIME, KERNELS[:4])
    first = board.run(str(tmp_path), ONNXRUNTIME.timed, ONNXRUNTIME.whole)
    results = tmp_path / board.RESULTS
    lines = results.read_text().splitlines()
    results.write_text("\n".join(lines[:3]) + "\n" + lines[3][:20])  # two kernels, and half a line
    again = kit.answer(board.run(str(tmp_path), ONNXRUNTIME.timed, ONNXRUNTIME.whole))
    assert {row.kernel for row in again.rows} == set(KERNELS[:4])
    kept = {row.kernel: row.median_us for row in kit.answer(first).rows}
    assert [row.median_us == kept[row.kernel] for row in again.rows[:2]] == [True, True]


class SlowSpell(Timed):
    """A kernel of 100 us that takes five times as long whenever its model is loaded the second time."""

    loaded: ClassVar[Counter[str]] = Counter()

    def __init__(self, folder: str, entry: dict, threads: int) -> None:
        self.loaded[entry["id"]] += 1
        self.us = 500.0 if self.loaded[entry["id"]] == 2 else 100.0
        self.runs = 0

    def run(self) -> None:
        self.runs += 1

    def samples_us(self) -> list[float]:
        return [self.us] * self.runs


def test_a_slow_spell_of_the_machine_does_not_reach_the_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rounds.Reference, "drift", lambda self: 1.0)
    kit.write(tmp_path, here("onnxruntime"), ONNXRUNTIME, KERNELS[:4])
    rows = kit.answer(board.run(str(tmp_path), SlowSpell, None)).rows
    assert [row.median_us for row in rows] == [100.0] * 4


PLANS = settings(max_examples=5, suppress_health_check=[HealthCheck.function_scoped_fixture])


@PLANS
@given(data=st.data())
def test_predicted_kernels_are_those_that_onnxruntime_runs(
    network: Network, tmp_path: Path, data: st.DataObject
) -> None:
    """Operation by operation, the copies between layouts too, for any plan."""
    if network.name == "convnext":
        pytest.skip("its layer norms and changes of layout are timed alone, as several operations")
    choices = {site.id: data.draw(st.sampled_from(site.names)) for site in network.sites}
    to_onnx(network.merged(choices), network.input_shape, tmp_path / "m.onnx")
    names = {name: op for op, all_names in OPS.items() for name in all_names}
    ran = Counter(names.get(op, op) for op in kept_operations(str(tmp_path / "m.onnx")))
    layers = Latencies(network, Device.named("host", tmp_path)).layers(choices)
    del ran["Reshape"]  # flattening: its memory is shared
    assert Counter(layer.kernel.op for layer in layers) == ran


@pytest.mark.parametrize("free", [-1, 0, "height"])
def test_a_model_that_leaves_sides_free_is_timed_at_the_size_that_is_asked_for(
    free: int | str, tmp_path: Path
) -> None:
    """Whatever its input is called, and however its file says that a side is free."""
    kernel = Kernel("conv", (3, 32, 32), (8, 32, 32), (3, 3), (1, 1), (1, 1))
    model = one_kernel_model(kernel)
    (image,) = (value for value in model.graph.input if len(value.type.tensor_type.shape.dim) == 4)
    for dim in image.type.tensor_type.shape.dim[2:]:
        if isinstance(free, str):
            dim.dim_param = free
        else:
            dim.dim_value = free
    path = tmp_path / "free.onnx"
    path.write_bytes(model.SerializeToString())
    onnx = ONNXRUNTIME
    with pytest.raises(ValueError, match=r"leaves sides free \(3x\?x\?\); give `input_size`"):
        onnx.whole_job(path, None)
    with pytest.raises(ValueError, match=r"takes 3x.x., not 4x48x64"):
        onnx.whole_job(path, (4, 48, 64))
    job = onnx.whole_job(path, (3, 48, 64))
    assert job.details["inputs"][image.name] == [1, 3, 48, 64]
