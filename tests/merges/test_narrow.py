"""Networks with fewer channels: what does nothing goes, and what is left can be merged."""

import copy
from pathlib import Path
from random import Random

import pytest
import torch
import torchvision
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from torch import Tensor, fx, nn

from merges.graph import TraceError, layer
from merges.narrow import Groups, narrow
from merges.network import analyse, narrowed
from tests.merges.random_checks import TOLERANCE, error_of, images_for, random_plan, shapes_of, wrong_export
from tests.merges.random_networks import CLASSES, SHAPE, RandomNetwork, random_networks

_WITHIN_CHANNELS = (nn.LocalResponseNorm, nn.Softmax, nn.LogSoftmax)


def silence(graph_module: fx.GraphModule, share: float, dice: Random) -> int:
    """Let as many channels do nothing as `narrow` takes away, chosen at random; their number."""
    groups = Groups.of(graph_module)
    silent: dict[int, Tensor] = {}
    counts = {groups.root(group): count for layout in groups.layouts.values() for group, count, _ in layout}
    for group, width in groups.widths(share).items():
        silent[group] = torch.tensor(sorted(dice.sample(range(counts[group]), counts[group] - width)))
    for node in groups.makers:
        made = layer(graph_module, node)
        for group, *_ in groups.layouts[node]:
            index = silent.get(groups.root(group), torch.tensor([], dtype=torch.long))
            made.weight.data[index] = 0.0
            if made.bias is not None:
                made.bias.data[index] = 0.0
    for node in groups.readers:
        start = 0
        for group, count, values in groups.layouts[node.all_input_nodes[0]]:
            index = silent.get(groups.root(group), torch.tensor([], dtype=torch.long))
            for value in range(values):
                layer(graph_module, node).weight.data[:, start + index * values + value] = 0.0
            start += count * values
    return sum(map(len, silent.values()))


def test_channels_that_do_nothing_go_and_the_answers_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images, gone = images_for(SHAPE), list[int]()
    monkeypatch.setattr("merges.narrow._MULTIPLE", 1)  # these networks have few channels

    @settings(
        max_examples=60,
        database=None,
        derandomize=True,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(random_networks(parts=4), st.sampled_from((0.25, 0.5, 0.75)), st.integers(0, 999))
    def holds(model: RandomNetwork, share: float, seed: int) -> None:
        try:
            network = analyse("random", model, SHAPE)
        except TraceError:
            assume(False)
        teacher = copy.deepcopy(network.teacher)
        assume(not any(isinstance(module, _WITHIN_CHANNELS) for module in teacher.modules()))
        silenced = silence(teacher, share, Random(seed))
        gone.append(silenced)
        small = copy.deepcopy(teacher)
        assert narrow(small, share) == bool(silenced)
        assert error_of(small, teacher, images) <= TOLERANCE
        made = narrowed(network, share)
        assert made.untouched is network.teacher
        merged = made.merged(random_plan(made, Random(seed)))
        assert shapes_of(merged, images) == [(len(images), CLASSES)]
        if len(gone) % 20 == 0:
            assert wrong_export(merged, images, tmp_path / "merged.onnx") == []

    holds()
    assert sum(map(bool, gone)) > len(gone) / 4, "hardly any network could be narrowed"


_NARROWED = (
    *("googlenet", "resnet18", "mobilenet_v3_large", "densenet121", "efficientnet_b0", "squeezenet1_1"),
    "inception_v3",
)


@pytest.mark.parametrize("name", _NARROWED)
def test_three_quarters_of_the_channels_leave_about_nine_sixteenths_of_the_weights(name: str) -> None:
    given = {"aux_logits": False, "init_weights": False} if name in ("googlenet", "inception_v3") else {}
    model = torchvision.models.get_model(name, num_classes=10, **given).eval()
    network = narrowed(analyse(name, model, (3, 96, 96)), 0.75)
    before, after = (
        sum(weight.numel() for weight in graph.parameters()) for graph in (network.untouched, network.teacher)
    )
    assert 0.5 < after / before < 0.6
    assert network.outputs == {"scores": (1, 10)}


def test_channels_stay_where_something_reads_them_all() -> None:
    """A layer norm, an attention or a shuffle of channels is not looked through."""
    channels = nn.Sequential(nn.Conv2d(3, 32, 3), nn.ReLU(), nn.ChannelShuffle(4), nn.Conv2d(32, 16, 3))
    head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 10))
    network = narrowed(analyse("shuffled", nn.Sequential(channels, head).eval(), SHAPE), 0.5)
    widths = [m.out_channels for m in network.teacher.modules() if isinstance(m, nn.Conv2d)]
    assert widths == [32, 8]
