"""Every awkward network ends in a correct merge or in a refusal that names the place."""

import re
from pathlib import Path

import pytest
import torch
from torch import nn

from merges.graph import TraceError
from merges.network import analyse
from merges.reading.check import answers_of, worst
from tests.merges.awkward import CASES
from training.blocks.runner import BlockRunner, walk
from training.export import to_onnx
from training.export_check import compare

SHAPE = (3, 20, 28)
USABLE = [name for name, case in CASES.items() if not case.whole]


def built(name: str) -> nn.Module:
    torch.manual_seed(0)
    return CASES[name].build().eval()


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.whole])
def test_a_network_that_cannot_be_used_says_why(name: str) -> None:
    with pytest.raises(TraceError, match=re.escape(CASES[name].refusal)):
        analyse(name, built(name), SHAPE)


@pytest.mark.parametrize("name", USABLE)
def test_an_awkward_network_is_merged_or_refused_by_name(name: str) -> None:
    network = analyse(name, built(name), SHAPE)
    assert set(CASES[name].rules) <= {site.rule for site in network.sites}
    reasons = [refusal.reason for refusal in network.refused]
    assert any(CASES[name].refusal in reason for reason in reasons) or not CASES[name].refusal
    assert all(refusal.nodes for refusal in network.refused)


@pytest.mark.parametrize("name", USABLE)
def test_what_an_awkward_network_offers_is_right(name: str, tmp_path: Path) -> None:
    network = analyse(name, built(name), SHAPE)
    images = torch.randn(3, *SHAPE, generator=torch.Generator().manual_seed(0))
    wanted = answers_of(built(name), images)
    assert worst(answers_of(network.teacher, images), wanted) <= 1e-5
    assert worst(answers_of(network.skeleton(), images), wanted) <= 1e-5
    for site in network.sites:
        for option in site.names[1:]:
            got = answers_of(network.merged({site.id: option}), images)
            assert [g.shape for g in got] == [w.shape for w in wanted]
            assert not site.exact or worst(got, wanted) <= 1e-4
    everything = network.merged({site.id: site.names[-1] for site in network.sites})
    to_onnx(everything, SHAPE, tmp_path / "m.onnx")
    agreement = compare(everything, tmp_path / "m.onnx", images)
    assert agreement.max_abs_error <= 1e-4 * max(agreement.scale, 1)


def test_values_that_do_not_lie_one_image_after_the_other_are_walked_too() -> None:
    images = torch.randn(70, *SHAPE, generator=torch.Generator().manual_seed(0))  # two batches
    network = analyse("shuffle", built("halves_behind_the_batch"), SHAPE)
    assert network.blocks
    assert torch.allclose(
        walk(network.skeleton(), images, ["output"])["output"], network.teacher(images), atol=1e-5
    )
    steps = BlockRunner(network.skeleton(), images)
    for block in network.blocks:
        steps.before(block.name)
    assert any(not node.meta.get("per_image", True) for node in network.teacher.graph.nodes)
