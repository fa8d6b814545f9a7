"""Exact rules keep the outputs of random layers; the arithmetic behind them."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from merges import algebra
from merges.network import analyse
from merges.norm import FastLocalResponseNorm
from tests import networks
from tests.merges.test_rules import outputs


@settings(max_examples=15)
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
    options = {site.rule: site.names for site in network.sites}
    assert options["streamline"] == ("keep", "merge 3x3", "merge 4x4")
    assert options["compose"] == ("keep", "one convolution")
    wanted, got = outputs(network.teacher, 16), outputs(network.merged({"streamline:0": "merge 4x4"}), 16)
    assert (got - wanted).abs().max() <= 1e-5


def body(*layers: nn.Module) -> nn.Module:
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten()).eval()


def assert_exact(model: nn.Module, channels: int, rule: str, size: int = 13) -> None:
    """Every option of the rule keeps the outputs; a place that it refuses has a reason."""
    network = analyse("random", model, (channels, size, size + 2))
    x = torch.randn(2, channels, size, size + 2)
    with torch.no_grad():
        wanted = model(x)
        for choices in ({}, *({s.id: o} for s in network.sites if s.exact for o in s.names[1:])):
            got = network.merged(choices)(x)
            assert (got - wanted).abs().max() <= 1e-4 * wanted.abs().max().clamp_min(1e-3), choices
    found = [s.rule for s in (*network.sites, *network.folded)] + [r.rule for r in network.refused]
    assert rule in found


@pytest.mark.slow
@settings(max_examples=60)
@given(
    kernels=st.tuples(st.sampled_from([1, 2, 3]), st.sampled_from([1, 3])),
    strides=st.tuples(st.sampled_from([1, 2]), st.sampled_from([1, 2])),
    paddings=st.tuples(st.integers(0, 1), st.integers(0, 1)),
    groups=st.tuples(st.sampled_from([1, 2, 4]), st.sampled_from([1, 2, 4])),
    biases=st.tuples(st.booleans(), st.booleans()),
    pool=st.sampled_from(["none", "first", "second"]),
    seed=st.integers(0, 99),
)
def test_composing_is_exact_or_refused(kernels, strides, paddings, groups, biases, pool, seed) -> None:  # type: ignore[no-untyped-def]
    torch.manual_seed(seed)
    layers: list[nn.Module] = [
        nn.Conv2d(4, 4, k, s, p, groups=g, bias=b)
        for k, s, p, g, b in zip(kernels, strides, paddings, groups, biases, strict=True)
    ]
    if pool != "none":
        place = ("first", "second").index(pool)
        layers[place] = nn.AvgPool2d(
            kernels[place] + 1, strides[place], paddings[place], count_include_pad=biases[place]
        )
    assert_exact(body(*layers), 4, "compose")


class Sum(nn.Module):
    def __init__(self, *addends: nn.Module) -> None:
        super().__init__()
        self.addends = nn.ModuleList(addends)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        total = self.addends[0](x)
        for addend in self.addends[1:]:
            total = total + addend(x)
        return total


@pytest.mark.slow
@settings(max_examples=60)
@given(
    kernels=st.lists(st.sampled_from([1, 3, 5]), min_size=1, max_size=3),
    other=st.sampled_from(["identity", "norm", "none"]),
    groups=st.sampled_from([1, 2, 4]),
    stride=st.sampled_from([1, 2]),
    bias=st.booleans(),
    seed=st.integers(0, 99),
)
def test_a_sum_of_linear_branches_is_one_convolution(kernels, other, groups, stride, bias, seed) -> None:  # type: ignore[no-untyped-def]
    torch.manual_seed(seed)
    stride = 1 if other != "none" else stride
    addends: list[nn.Module] = [
        nn.Conv2d(4, 4, k, stride, k // 2, groups=groups if i == 0 else 1, bias=bias)
        for i, k in enumerate(kernels)
    ]
    if other != "none" or len(addends) == 1:
        norm = nn.BatchNorm2d(4)
        assert norm.running_mean is not None
        assert norm.running_var is not None
        norm.running_mean.normal_()
        norm.running_var.uniform_(0.2, 2)
        addends.append(norm if other == "norm" else nn.Conv2d(4, 4, 1, stride))
    model = body(nn.ReLU(), Sum(*addends))
    assert_exact(model, 4, "shortcut")


class Affine(nn.Module):
    def __init__(self, scale: float, shift: float, order: int) -> None:
        super().__init__()
        self.scale, self.shift, self.order = scale, shift, order

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        forms = (x * self.scale + self.shift, self.shift - x, (self.scale * x - self.shift) / 2)
        return forms[self.order]


@pytest.mark.slow
@settings(max_examples=30)
@given(
    scale=st.floats(-2, 2).filter(lambda v: abs(v) > 0.1),
    shift=st.floats(-2, 2),
    order=st.integers(0, 2),
    groups=st.sampled_from([1, 2]),
    bias=st.booleans(),
    seed=st.integers(0, 99),
)
def test_constant_scales_and_shifts_fold_exactly(scale, shift, order, groups, bias, seed) -> None:  # type: ignore[no-untyped-def]
    torch.manual_seed(seed)
    norm = nn.BatchNorm2d(4)
    assert norm.running_mean is not None
    norm.running_mean.normal_()
    head = nn.Sequential(nn.Linear(6, 5, bias=bias), nn.BatchNorm1d(5))
    conv = nn.Conv2d(4, 6, 3, groups=groups, bias=bias)
    model = nn.Sequential(nn.ReLU(), norm, body(conv, Affine(scale, shift, order)), head).eval()
    assert_exact(model, 4, "scale")
    network = analyse("random", model, (4, 13, 15))
    left = [
        type(m).__name__ for m in network.teacher.modules() if isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d)
    ]
    assert left == []


@settings(max_examples=20)
@given(
    out=st.integers(2, 9), inside=st.integers(2, 9), kernel=st.sampled_from([1, 3]), seed=st.integers(0, 9)
)
def test_factors_of_full_rank_lose_nothing(out, inside, kernel, seed) -> None:  # type: ignore[no-untyped-def]
    torch.manual_seed(seed)
    weight = torch.randn(out, inside, kernel, kernel)
    left, core, right = algebra.tucker2(weight, out, inside)
    again = torch.einsum("or,rskl,si->oikl", left, core, right)
    assert (again - weight).abs().max() < 1e-4
    thin, wide = algebra.truncated_svd(weight.flatten(1), min(weight.flatten(1).shape))
    assert (thin @ wide - weight.flatten(1)).abs().max() < 1e-4


def test_components_find_a_kernel_that_is_a_sum_of_few() -> None:
    torch.manual_seed(0)
    left, taps, right = torch.randn(12, 3), torch.randn(3, 3, 3), torch.randn(3, 10)
    weight = torch.einsum("or,rkl,ri->oikl", left, taps, right)
    parts = algebra.cp(weight, 6)
    again = torch.einsum("or,rkl,ri->oikl", *parts)
    assert (again - weight).square().sum() < 0.01 * weight.square().sum()
    dense = torch.randn(8, 8, 3, 3)
    lost = []
    for rank in (8, 32, 72):
        again = torch.einsum("or,rkl,ri->oikl", *algebra.cp(dense, rank))
        lost.append(float((again - dense).square().sum() / dense.square().sum()))
    assert lost[0] > lost[1] > lost[2]
    assert lost[2] < 1e-3


def test_ridge_recovers_a_linear_map() -> None:
    torch.manual_seed(0)
    weight, bias = torch.randn(4, 12), torch.randn(4)
    x = torch.randn(500, 12)
    found, offset = algebra.ridge(x, x @ weight.T + bias, 1e-6)
    assert (found - weight).abs().max() < 1e-3
    assert (offset - bias).abs().max() < 1e-3


@settings(max_examples=20)
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


class Joined(nn.Module):
    def __init__(self, *branches: nn.Module) -> None:
        super().__init__()
        self.branches = nn.ModuleList(branches)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([branch(x) for branch in self.branches], 1)


@pytest.mark.slow
@settings(max_examples=30)
@given(
    widths=st.lists(st.integers(1, 6), min_size=2, max_size=4),
    kernel=st.sampled_from([1, 3]),
    stride=st.sampled_from([1, 2]),
    biases=st.lists(st.booleans(), min_size=4, max_size=4),
    activated=st.booleans(),
    seed=st.integers(0, 99),
)
def test_parallel_convolutions_run_as_one_exactly(widths, kernel, stride, biases, activated, seed) -> None:  # type: ignore[no-untyped-def]
    torch.manual_seed(seed)
    branches: list[nn.Module] = []
    for maps, bias in zip(widths, biases, strict=False):
        conv = nn.Conv2d(4, maps, kernel, stride, kernel // 2, bias=bias)
        after = nn.Conv2d(maps, maps, 3, padding=1)
        branches.append(nn.Sequential(conv, nn.ReLU() if activated else nn.Identity(), after))
    assert_exact(body(nn.ReLU(), Joined(*branches)), 4, "parallel")
