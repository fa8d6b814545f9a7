"""Every awkward network ends in a correct merge or in a refusal that names the place."""

from pathlib import Path

import pytest
import torch
from torch import nn

from merges.graph import TraceError
from merges.network import Network, analyse
from tests.merges.awkward import CASES
from training.export import compare, to_onnx
from training.walk import outputs_of, walk

SHAPE = (3, 20, 28)


def built(name: str) -> nn.Module:
    torch.manual_seed(0)
    return CASES[name].build().eval()


def analysed(name: str) -> Network:
    try:
        return analyse(name, built(name), SHAPE)
    except TraceError as error:
        assert CASES[name].refusal in str(error)
        assert CASES[name].rules == ()
        pytest.skip("refused as a whole, with the reason")


@pytest.mark.parametrize("name", CASES)
def test_an_awkward_network_is_merged_or_refused_by_name(name: str) -> None:
    network = analysed(name)
    assert set(CASES[name].rules) <= {site.rule for site in network.sites}
    reasons = [refusal.reason for refusal in network.refused]
    assert any(CASES[name].refusal in reason for reason in reasons) or not CASES[name].refusal
    assert all(refusal.nodes for refusal in network.refused)


@pytest.mark.parametrize("name", CASES)
def test_what_an_awkward_network_offers_is_right(name: str, tmp_path: Path) -> None:
    network = analysed(name)
    images = torch.randn(3, *SHAPE, generator=torch.Generator().manual_seed(0))
    wanted = outputs_of(built(name), images)
    assert torch.allclose(outputs_of(network.teacher, images), wanted, atol=1e-5)
    assert torch.allclose(walk(network.skeleton(), images)["output"], wanted, atol=1e-5)
    for site in network.sites:
        for option in site.options[1:]:
            got = outputs_of(network.merged({site.id: option}), images)
            assert got.shape == wanted.shape
            assert not site.exact or (got - wanted).abs().max() <= 1e-4 * wanted.abs().max()
    everything = network.merged({site.id: site.options[-1] for site in network.sites})
    to_onnx(everything, SHAPE, tmp_path / "m.onnx")
    agreement = compare(everything, tmp_path / "m.onnx", images)
    assert agreement.max_abs_error <= 1e-4 * max(agreement.scale, 1)
