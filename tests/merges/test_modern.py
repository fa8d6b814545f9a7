"""Rules for what today's networks are made of: each is exact where what it takes away does nothing."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from merges.channels import Channels, cut, effects, group_from
from merges.graph import find
from merges.network import Network, analyse
from tests import networks
from tests.networks import Inverted, Modern, Next


def answers(model: nn.Module, images: Tensor) -> Tensor:
    with torch.no_grad():
        return model(images)


def differs(network: Network, site: str, option: str, energies: bool = False) -> float:
    """How far a network is from itself after one option, as a share of the answers' scale."""
    torch.manual_seed(1)
    images = torch.randn(4, *network.input_shape)
    merged = network.merged({site: option})
    if energies:  # as the bank gives them: of what the teacher's block makes
        (block,) = (block for block in network.blocks if any(s.id == site for s in block.sites))
        values = _values(network, images)
        rebuilt, _ = network.rebuild(block, {site: option}, values)
        merged.set_submodule(block.name, rebuilt)
    wanted = answers(network.teacher, images)
    return float((answers(merged, images) - wanted).abs().max() / wanted.abs().max())


def _values(network: Network, images: Tensor) -> dict[str, Tensor]:
    found: dict[str, Tensor] = {}

    class Watched(torch.fx.Interpreter):
        def run_node(self, n: torch.fx.Node) -> object:
            value = super().run_node(n)
            if isinstance(value, Tensor) and value.ndim == 4:
                found[n.name] = value.square().mean((0, 2, 3))
            return value

    with torch.no_grad():
        Watched(network.teacher).run(images)
    return found


def seeded(*blocks: nn.Module) -> Modern:
    torch.manual_seed(0)
    return Modern(*blocks).eval()


@settings(max_examples=15)
@given(
    inside=st.sampled_from([16, 24, 40]),
    share=st.sampled_from(["0.75", "0.5", "0.25"]),
    seed=st.integers(0, 9),
)
def test_channels_that_do_nothing_are_cut_without_a_trace(inside: int, share: str, seed: int) -> None:
    """Through a depthwise convolution and a gate, all of which lose the same channels."""
    torch.manual_seed(seed)
    model = seeded(Inverted(16, inside))
    block = model.blocks[0]
    assert isinstance(block, Inverted)
    dead = torch.randperm(inside)[: inside - max(4, round(inside * float(share) / 4) * 4)]
    with torch.no_grad():
        block.project.weight[:, dead] = 0
        block.squeeze.weight[:, dead] = 0
    network = analyse("inverted", model, (3, 20, 22))
    assert differs(network, "width:blocks.0.expand", share) < 1e-5


def test_a_reducer_is_the_case_of_a_1x1_before_a_larger_convolution() -> None:
    network = analyse("mixed", networks.with_batch_norm(), (3, 24, 24))
    rules = {site.labels[0]: site.rule for site in network.sites if site.rule in ("width", "reducer")}
    assert {label: rule for label, rule in rules.items() if "reduce" in label} == {
        "block.reduce3": "reducer",
        "block.reduce5": "reducer",
    }


def test_no_layer_is_cut_by_two_sites() -> None:
    """In a chain, every second group: else the whole network would be one block."""
    torch.manual_seed(0)
    chain = nn.Sequential(
        *(layer for _ in range(6) for layer in (nn.Conv2d(16, 16, 3, padding=1), nn.ReLU()))
    )
    network = analyse("chain", nn.Sequential(nn.Conv2d(3, 16, 1), nn.ReLU(), chain), (3, 16, 16))
    sites = [site for site in network.sites if site.rule in ("width", "reducer")]
    assert [site.rule for site in sites] == ["reducer", "width", "width"]
    nodes = [node for site in sites for node in site.nodes]
    assert len(nodes) == len(set(nodes))
    assert any("makes or reads channels that another site cuts" in r.reason for r in network.refused)


class Bottleneck(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Conv2d(16, 8, 1), nn.Conv2d(8, 8, 3, padding=1)
        self.three = nn.Conv2d(8, 16, 1)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.three(F.relu(self.two(F.relu(self.one(x))))))


def test_both_groups_of_a_bottleneck_are_cut() -> None:
    network = analyse("bottlenecks", seeded(Bottleneck(), Bottleneck()), (3, 20, 20))
    sites = {site.id for site in network.sites if site.rule in ("width", "reducer")}
    assert {
        f"{rule}:blocks.{n}.{at}" for n in (0, 1) for rule, at in (("reducer", "one"), ("width", "two"))
    } <= sites
    merged = network.merged({site: "0.5" for site in sites if "blocks" in site})
    shapes = [tuple(m.weight.shape[:2]) for m in merged.modules() if isinstance(m, nn.Conv2d)]
    assert shapes.count((4, 4)) == 2
    assert shapes.count((16, 4)) == 2


def test_channels_go_by_what_they_do_on_real_images() -> None:
    network = analyse("inverted", networks.inverted(), (3, 24, 24))
    graph = network.teacher
    maker = find(graph, "blocks_0_expand_conv")
    assert maker is not None
    group = group_from(graph, maker)
    assert isinstance(group, Channels)
    assert len(group.gates) == len(group.keepers) == 1
    energy = torch.zeros(32)
    energy[5:9] = 1
    group.reader.all_input_nodes[0].meta["energy"] = energy
    assert effects(graph, group).nonzero().flatten().tolist() == [5, 6, 7, 8]
    wanted = graph.get_submodule("blocks_0_expand_conv").weight[5:9].clone()  # type: ignore[index, union-attr, operator]
    cut(graph, group, 4)
    assert torch.equal(graph.get_submodule("blocks_0_expand_conv").weight, wanted)  # type: ignore[arg-type]


def test_a_gate_that_is_constant_goes_without_a_trace() -> None:
    model = seeded(Inverted(16, 32))
    block = model.blocks[0]
    assert isinstance(block, Inverted)
    with torch.no_grad():
        block.excite.weight.zero_()
    network = analyse("inverted", model, (3, 20, 20))
    (site,) = (site for site in network.sites if site.rule == "gate")
    assert site.names == ("keep", "constant", "half width")
    assert differs(network, site.id, "constant", energies=True) < 1e-5
    assert differs(network, site.id, "constant") > 1e-3, "one half is not what this gate gives"
    with torch.no_grad():
        block.excite.weight.normal_()
        block.excite.weight[:, 4:] = 0
    assert differs(analyse("inverted", model, (3, 20, 20)), site.id, "half width") < 1e-5


def test_a_branch_that_adds_nothing_is_left_out_without_a_trace() -> None:
    model = seeded(Inverted(16, 32), Next(16))
    with torch.no_grad():
        model.blocks[0].bn2.weight.zero_()  # type: ignore[union-attr, operator]
        model.blocks[0].bn2.bias.zero_()  # type: ignore[union-attr, operator]
        model.blocks[1].gamma.zero_()  # type: ignore[union-attr, operator]
    network = analyse("both", model, (3, 20, 20))
    sites = [site for site in network.sites if site.rule == "skip"]
    assert len(sites) == 2
    for site in sites:
        assert differs(network, site.id, "identity") < 1e-5
        merged = network.merged({site.id: "identity"})
        assert sum(w.numel() for w in merged.parameters()) < sum(
            w.numel() for w in network.teacher.parameters()
        )


def test_a_norm_of_what_is_normal_already_goes_without_a_trace() -> None:
    """Where channels have mean 0 and deviation 1 at every pixel, the layer norm only scales and shifts."""
    model = Next(16).eval()
    with torch.no_grad():
        model.depthwise.weight.zero_()
        model.depthwise.weight[:, :, 2, 2] = 1
        model.depthwise.bias.zero_()  # type: ignore[union-attr]
        model.norm.weight.normal_()
        model.norm.bias.normal_()
    network = analyse("next", model, (16, 9, 11))
    (site,) = (site for site in network.sites if site.rule == "norm")
    merged = network.merged({site.id: "scale"})
    kinds = [type(module) for module in merged.modules()]
    assert nn.LayerNorm not in kinds
    assert nn.Linear not in kinds
    assert "permute" not in str(merged.get_submodule(network.blocks[0].name))
    images = F.layer_norm(torch.randn(2, 9, 11, 16), (16,)).permute(0, 3, 1, 2)
    wanted = answers(network.teacher, images)
    assert (answers(merged, images) - wanted).abs().max() < 1e-3 * wanted.abs().max()


def test_expensive_activations_become_cheap_ones_block_by_block() -> None:
    network = analyse("inverted", networks.inverted(), (3, 24, 24))
    sites = [site for site in network.sites if site.rule == "activation"]
    assert len(sites) == 2
    assert all(site.names == ("keep", "ReLU", "hard-swish") for site in sites)
    kinds = [type(m) for m in network.merged({sites[0].id: "ReLU"}).modules()]
    assert kinds.count(nn.SiLU) == 4, "two of the other block, and those inside both gates"
    close = differs(network, sites[0].id, "hard-swish")
    assert close < differs(network, sites[0].id, "ReLU")


@settings(max_examples=20)
@given(
    kernel=st.sampled_from([2, 3, 5]),
    stride=st.sampled_from([1, 2]),
    padding=st.integers(0, 2),
    seed=st.integers(0, 99),
)
def test_a_separable_convolution_is_parted_exactly(kernel: int, stride: int, padding: int, seed: int) -> None:
    torch.manual_seed(seed)
    conv = nn.Conv2d(16, 20, kernel, stride, padding)
    with torch.no_grad():
        window, mixing = torch.randn(16, kernel, kernel), torch.randn(20, 16)
        conv.weight.copy_(mixing[:, :, None, None] * window)
    model = nn.Sequential(
        nn.Conv2d(3, 16, 1), nn.ReLU(), conv, nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    )
    network = analyse("separable", model.eval(), (3, 13, 14))
    assert differs(network, "depthwise:2", "depthwise and 1x1") < 1e-4


@pytest.mark.parametrize("activation", [nn.Identity(), nn.ReLU()])
def test_a_depthwise_and_a_1x1_become_one_dense(activation: nn.Module) -> None:
    torch.manual_seed(0)
    pair = (nn.Conv2d(16, 16, 3, 2, 1, groups=16), activation, nn.Conv2d(16, 20, 1))
    model = nn.Sequential(
        nn.Conv2d(3, 16, 1), nn.ReLU(), *pair, nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    )
    network = analyse("pair", model.eval(), (3, 13, 14))
    gap = differs(network, "depthwise:2", "one dense")
    assert gap < 1e-5 if isinstance(activation, nn.Identity) else gap > 1e-3
