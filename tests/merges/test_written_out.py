"""Activations and layer norms that are written out as arithmetic are read as the layers that they are."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from merges.network import analyse

SHAPE = (3, 12, 12)
ACTIVATIONS: dict[str, tuple[Callable[[Tensor], Tensor], nn.Module]] = {
    "gelu": (lambda x: 0.5 * x * (1 + torch.erf(x / math.sqrt(2))), nn.GELU()),
    "gelu of the old exporter": (lambda x: x * (torch.erf(x / 1.4142135) + 1) * 0.5, nn.GELU()),
    "gelu by tanh": (
        lambda x: x * 0.5 * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),
        nn.GELU("tanh"),
    ),
    "swish": (lambda x: x / (1 + torch.exp(-x)), nn.SiLU()),
    "hard swish": (lambda x: x * functional.relu6(x + 3) / 6, nn.Hardswish()),
    "hard sigmoid": (lambda x: (x + 3).clamp(0, 6) / 6, nn.Hardsigmoid()),
    "mish": (lambda x: x * torch.tanh(functional.softplus(x)), nn.Mish()),
    "leaky relu": (lambda x: torch.maximum(x, 0.1 * x), nn.LeakyReLU(0.1)),
    "relu": (lambda x: (x + x.abs()) / 2, nn.ReLU()),
}


class Applied(nn.Module):
    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


class Norm(nn.Module):
    """A layer norm over channels that are first, in one of the ways in which people write it."""

    def __init__(self, way: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.rand(8) + 0.5), nn.Parameter(torch.randn(8))
        self.way = way

    def forward(self, x: Tensor) -> Tensor:
        return self.way(x) * self.weight[:, None, None] + self.bias[:, None, None]


def by_mean(x: Tensor) -> Tensor:
    mean = x.mean(1, keepdim=True)
    return (x - mean) / torch.sqrt((x - mean).pow(2).mean(1, keepdim=True) + 1e-6)


def by_variance(x: Tensor) -> Tensor:
    variance, mean = torch.var_mean(x, dim=1, keepdim=True, correction=0)
    return (x - mean) * torch.rsqrt(variance + 1e-6)


def layers_of(inner: nn.Module) -> list[nn.Module]:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 8, 3), inner, nn.Conv2d(8, 4, 3)).eval()
    found = analyse("net", network, SHAPE)  # which checks the answers
    return [
        module for name, module in found.teacher.named_modules() if name and not name.startswith(("_0", "_2"))
    ]


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_an_activation_is_known_however_it_is_written(name: str) -> None:
    function, layer = ACTIVATIONS[name]
    (found,) = layers_of(Applied(function))
    assert repr(found) == repr(layer) or isinstance(layer, nn.LeakyReLU)
    points = torch.linspace(-5, 5, 101)
    assert torch.allclose(found(points), layer(points), atol=1e-5)


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x * torch.sigmoid(1.702 * x),
        lambda x: torch.minimum(x.relu() * 1.0, torch.full_like(x, 9.0)),
        lambda x: x * torch.sigmoid(x + 0.001),
        lambda x: (x - x.mean(1, keepdim=True)) / (x.var(1, keepdim=True) + 1e-6),
    ],
)
def test_what_is_nearly_a_known_layer_stays_as_it_is(function: Callable[[Tensor], Tensor]) -> None:
    known = (nn.SiLU, nn.GELU, nn.LayerNorm)
    assert not any(isinstance(layer, known) for layer in layers_of(Applied(function)))


@pytest.mark.parametrize("way", [by_mean, by_variance])
def test_a_layer_norm_is_known_and_keeps_its_weights(way: Callable[[Tensor], Tensor]) -> None:
    own = Norm(way)
    with torch.no_grad():
        own.weight[0] = 0.0
    (norm,) = layers_of(own)
    assert isinstance(norm, nn.LayerNorm)
    assert norm.eps == 1e-6
    assert torch.allclose(norm.weight, own.weight, atol=1e-6)
    assert torch.allclose(norm.bias, own.bias, atol=1e-6)


def test_a_layer_norm_of_vectors_is_known() -> None:
    class Vectors(nn.Sequential):
        def forward(self, x: Tensor) -> Tensor:
            x = self[0](x).mean((2, 3))
            x = x - x.mean(-1, keepdim=True)
            answers: Tensor = self[1](x / (x.square().mean(-1, keepdim=True) + 1e-5) ** 0.5)
            return answers

    found = analyse("net", Vectors(nn.Conv2d(3, 8, 3), nn.Linear(8, 5)).eval(), SHAPE)
    assert [type(m) for m in found.teacher.modules() if isinstance(m, nn.LayerNorm)] == [nn.LayerNorm]


def test_a_norm_that_was_written_out_offers_its_site() -> None:
    network = nn.Sequential(nn.Conv2d(3, 8, 3), Norm(by_mean), nn.Conv2d(8, 4, 3)).eval()
    assert "norm" in {site.rule for site in analyse("net", network, SHAPE).sites}
