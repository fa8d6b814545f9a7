"""One contract for every discovered rule, on every test network."""

import copy
import json
from dataclasses import asdict

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from merges import algebra
from merges.graph import TraceError, trace
from merges.network import Network, analyse
from merges.norm import FastLocalResponseNorm
from merges.rule import KEEP, Refusal, Site, discover
from tests import networks
from tests.conftest import BUILDERS

RULES = sorted(discover())


def outputs(model: nn.Module, size: int = 24, seed: int = 0) -> torch.Tensor:
    torch.manual_seed(seed)
    with torch.no_grad():
        return model(torch.randn(2, 3, size, size))


@pytest.mark.parametrize("name", RULES)
def test_every_rule_finds_a_site_somewhere(name: str) -> None:
    found = [analyse(n, build(), (3, 24, 24)) for n, build in BUILDERS.items()]
    assert any(site.rule == name for n in found for site in (*n.sites, *n.folded))


@pytest.mark.parametrize("name", sorted(BUILDERS))
def test_always_applied_rules_keep_the_outputs_and_the_model(name: str) -> None:
    model = BUILDERS[name]()
    before = copy.deepcopy(model.state_dict())
    wanted = outputs(model)
    got = outputs(analyse(name, model, (3, 24, 24)).teacher)
    assert (got - wanted).abs().max() <= 1e-4 * wanted.abs().max()
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())


@settings(max_examples=15, deadline=None)
@given(
    channels=st.integers(1, 6),
    maps=st.integers(1, 6),
    kernel=st.sampled_from([1, 3, 5]),
    eps=st.sampled_from([1e-5, 1e-3, 0.1]),
    bias=st.booleans(),
    affine=st.booleans(),
    seed=st.integers(0, 99),
)
def test_folding_a_norm_is_exact(channels, maps, kernel, eps, bias, affine, seed) -> None:  # type: ignore[no-untyped-def]
    torch.manual_seed(seed)
    conv, norm = nn.Conv2d(channels, maps, kernel, bias=bias), nn.BatchNorm2d(maps, eps=eps, affine=affine)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    norm.running_mean.normal_()
    norm.running_var.uniform_(0.1, 3)
    body = nn.Sequential(conv, norm, nn.AdaptiveAvgPool2d(1), nn.Flatten()).eval()
    network = analyse("one", body, (channels, 9, 9))
    x = torch.randn(2, channels, 9, 9)
    with torch.no_grad():
        wanted, got = body(x), network.teacher(x)
    assert len(network.folded) == 1
    assert (got - wanted).abs().max() <= 1e-4 * wanted.abs().max().clamp_min(1e-3)


def test_every_option_keeps_the_shape_and_leaves_the_teacher_alone(network: Network) -> None:
    wanted = outputs(network.teacher)
    for site in network.sites:
        for option in site.options[1:]:
            merged = network.merged({site.id: option})
            got = outputs(merged)
            assert got.shape == wanted.shape, (site.id, option)
            assert torch.isfinite(got).all()
            trace(merged)
    assert torch.equal(outputs(network.teacher), wanted)
    assert torch.equal(outputs(network.merged({})), outputs(network.skeleton()))


def test_the_first_option_of_every_site_is_keep(network: Network) -> None:
    assert all(site.options[0] == KEEP and len(site.options) > 1 for site in network.sites)


def test_sites_round_trip_through_json(network: Network) -> None:
    for site in network.sites:
        values = json.loads(json.dumps(asdict(site)))
        assert Site(**{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}) == site


@pytest.mark.parametrize("name", RULES)
def test_shared_layers_are_refused(name: str) -> None:
    found = discover()[name].find(analyse("shared", networks.shared(), (3, 24, 24)).teacher)
    assert not [site for site in found if isinstance(site, Site)]
    if name == "fold_norm":
        assert any(isinstance(r, Refusal) and "shared" in r.reason for r in found)


def test_a_pointwise_branch_goes_into_the_3x3_exactly_when_both_read_the_same_maps() -> None:
    network = analyse("fire", networks.fire(), (3, 24, 24))
    wanted = outputs(network.teacher)
    got = outputs(
        network.merged(
            {"branch:fire": "1x1 into 3x3"}
            if "branch:fire" in network.sites
            else {site.id: "1x1 into 3x3" for site in network.sites if site.rule == "branch"}
        )
    )
    assert (got - wanted).abs().max() <= 1e-5 * wanted.abs().max()


def test_average_pooling_after_a_linear_convolution_merges_exactly() -> None:
    torch.manual_seed(0)
    body = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AvgPool2d(2, 2), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    network = analyse("average", body, (3, 16, 16))
    (site,) = network.sites
    assert site.options == ("keep", "merge 3x3", "merge 4x4")
    wanted, got = outputs(network.teacher, 16), outputs(network.merged({site.id: "merge 4x4"}), 16)
    assert (got - wanted).abs().max() <= 1e-5


@settings(max_examples=40, deadline=None)
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
        for option in site.options[1:]:
            merged = network.merged({site.id: option}).get_submodule(network.blocks[0].name)
            with torch.no_grad():
                shape = merged(torch.zeros(1, 3, size, size)).shape
            assert shape == network.shape_of(network.blocks[0].exit)
    assert network.sites or network.refused


def test_ridge_recovers_a_linear_map() -> None:
    torch.manual_seed(0)
    weight, bias = torch.randn(4, 12), torch.randn(4)
    x = torch.randn(500, 12)
    found, offset = algebra.ridge(x, x @ weight.T + bias, 1e-6)
    assert (found - weight).abs().max() < 1e-3
    assert (offset - bias).abs().max() < 1e-3


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (networks.dynamic, "cannot be traced"),
        (lambda: nn.Bilinear(3, 3, 2), "2 inputs"),
        (lambda: nn.Conv2d(3, 4, 3), "class scores"),
    ],
)
def test_networks_that_cannot_be_merged_say_why(build, words) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(TraceError, match=words):
        analyse("odd", build(), (3, 24, 24))


@settings(max_examples=20, deadline=None)
@given(
    channels=st.integers(1, 9),
    size=st.integers(1, 6),
    beta=st.sampled_from([0.5, 0.75, 1.0]),
    k=st.sampled_from([1.0, 2.0]),
)
def test_the_quick_local_response_norm_is_the_same_function(channels, size, beta, k) -> None:  # type: ignore[no-untyped-def]
    torch.manual_seed(0)
    x = torch.randn(2, channels, 5, 4) * 20
    norm = nn.LocalResponseNorm(size, 0.1, beta, k)
    wanted = norm(x)
    assert (FastLocalResponseNorm.like(norm)(x) - wanted).abs().max() <= 1e-5 * wanted.abs().max()
