"""One contract for every discovered rule, on every test network."""

import copy
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from merges.graph import TraceError
from merges.network import Network, analyse
from merges.rule import KEEP, MergeError, Refusal, Site, discover
from tests import networks
from tests.conftest import BUILDERS, analysed
from training.export import to_onnx
from training.export_check import compare

RULES = sorted(discover())


def outputs(model: nn.Module, size: int = 24, seed: int = 0) -> torch.Tensor:
    torch.manual_seed(seed)
    with torch.no_grad():
        return model(torch.randn(2, 3, size, size))


def layers(model: nn.Module) -> list[str]:
    return [repr(module) for module in model.modules() if not list(module.children())]


@pytest.mark.parametrize("name", RULES)
def test_every_rule_finds_a_site_somewhere(name: str) -> None:
    found = [analysed(network) for network in BUILDERS]
    assert any(site.rule == name for n in found for site in (*n.sites, *n.folded))


@pytest.mark.parametrize("name", sorted(BUILDERS))
def test_always_applied_rules_keep_the_outputs_and_the_model(name: str) -> None:
    model = BUILDERS[name]()
    before = copy.deepcopy(model.state_dict())
    wanted = outputs(model)
    got = outputs(analyse(name, model, (3, 24, 24)).teacher)
    assert (got - wanted).abs().max() <= 1e-4 * wanted.abs().max()
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())


def test_every_option_keeps_the_shape_and_leaves_the_teacher_alone(network: Network) -> None:
    wanted = outputs(network.teacher)
    for site in network.sites:
        for option in site.names[1:]:
            merged = network.merged({site.id: option})
            got = outputs(merged)
            assert got.shape == wanted.shape, (site.id, option)
            assert torch.isfinite(got).all()
            assert layers(merged) != layers(network.teacher), (site.id, option)
            if site.exact:
                assert (got - wanted).abs().max() <= 1e-4 * wanted.abs().max(), (site.id, option)
    assert torch.equal(outputs(network.teacher), wanted)
    assert torch.equal(outputs(network.merged({})), outputs(network.skeleton()))


def test_the_outline_of_a_block_is_the_rebuilt_block_without_weights(network: Network) -> None:
    for block in network.blocks:
        for site in block.sites:
            for option in site.names[1:]:
                outline, made = network.outlines.of(block, {site.id: option})
                rebuilt, same = network.rebuild(block, {site.id: option})
                assert made == same == {site.id: option}
                assert {k: v.shape for k, v in outline.state_dict().items()} == {
                    k: v.shape for k, v in rebuilt.state_dict().items()
                }


@pytest.mark.slow
def test_merged_networks_answer_alike_in_onnx(network: Network, tmp_path: Path) -> None:
    images = torch.randn(2, 3, 24, 24, generator=torch.Generator().manual_seed(0))
    for number in (1, -1):
        merged = network.merged({site.id: site.names[number] for site in network.sites})
        to_onnx(merged, network.input_shape, tmp_path / "merged.onnx")
        agreement = compare(merged, tmp_path / "merged.onnx", images)
        assert agreement.max_abs_error <= 1e-4 * max(agreement.scale, 1)
        again = analyse("again", merged, network.input_shape)
        assert torch.allclose(again.teacher(images), merged(images), rtol=1e-4, atol=1e-5)


def test_the_first_option_of_every_site_is_keep(network: Network) -> None:
    assert all(site.names[0] == KEEP and len(site.names) > 1 for site in network.sites)


def test_options_are_known_by_their_names(network: Network) -> None:
    for site in network.sites:
        assert [site.option(str(option)) for option in site.options] == list(site.options)
        with pytest.raises(MergeError, match=f"{site.id} has no option 'odd'; it has keep, "):
            network.merged({site.id: "odd"})


@pytest.mark.parametrize("name", RULES)
def test_shared_layers_are_refused(name: str) -> None:
    found = discover()[name].find(analyse("shared", networks.shared(), (3, 24, 24)).teacher)
    assert not [site for site in found if isinstance(site, Site)]
    if name == "fold_norm":
        assert any(isinstance(r, Refusal) and "shared" in r.reason for r in found)


@pytest.mark.slow
@settings(max_examples=40)
@given(
    size=st.integers(16, 40),
    kernel=st.sampled_from([3, 5, 7]),
    stride=st.sampled_from([1, 2]),
    window=st.sampled_from([2, 3]),
    ceil=st.booleans(),
    padding=st.integers(0, 1),
)
def test_merged_streamlines_have_the_size_of_the_chain(size, kernel, stride, window, ceil, padding) -> None:  # type: ignore[no-untyped-def]
    body = nn.Sequential(
        nn.Conv2d(3, 4, kernel, stride, kernel // 2),
        nn.ReLU(),
        nn.MaxPool2d(window, 2, padding, ceil_mode=ceil),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    )
    network = analyse("stem", body, (3, size, size))
    for site in network.sites:
        for option in site.names[1:]:
            merged = network.merged({site.id: option}).get_submodule(network.blocks[0].name)
            with torch.no_grad():
                shape = merged(torch.zeros(1, 3, size, size)).shape
            assert shape == network.shape_of(network.blocks[0].exit)
    assert network.sites or network.refused


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (networks.dynamic, "networks.py:.*depends on values of tensors"),
        (lambda: nn.Bilinear(3, 3, 2), "2 inputs"),
        (lambda: nn.BatchNorm2d(3, track_running_stats=False), "running statistics"),
    ],
)
def test_networks_that_cannot_be_merged_say_why(build, words) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(TraceError, match=words):
        analyse("odd", build(), (3, 24, 24))
