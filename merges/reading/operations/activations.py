"""Exported operations that become activations, and layers that reorder pixels and channels."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, fx, nn

from merges.reading.builder import Builder, Made, Unsupported, handles, own


@handles("prelu.default")
def _prelu(b: Builder, self: fx.Node, weight: Tensor) -> Made:
    own(weight)
    prelu = nn.PReLU(weight.numel())
    return b.layer(b.filled(prelu, weight=weight.reshape(-1)), self)


def _clamp(minimum: float | None, maximum: float | None) -> nn.Module:
    if minimum == 0 and maximum == 6:
        return nn.ReLU6()
    if minimum == 0 and maximum is None:
        return nn.ReLU()
    infinity = float("inf")
    return nn.Hardtanh(*(-infinity if minimum is None else minimum, infinity if maximum is None else maximum))


def _softmax(dim: int, half_to_float: bool = False, dtype: Any = None) -> nn.Module:
    return nn.Softmax(dim)


def _log_softmax(dim: int, half_to_float: bool = False, dtype: Any = None) -> nn.Module:
    return nn.LogSoftmax(dim)


_ACTIVATIONS: dict[str, Callable[..., nn.Module]] = {
    "relu.default": nn.ReLU,
    "relu6.default": nn.ReLU6,
    "hardtanh.default": lambda min_val=-1, max_val=1: _clamp(min_val, max_val),
    "clamp.default": lambda min=None, max=None: _clamp(min, max),
    "clamp_min.default": lambda min: _clamp(min, None),
    "clamp_max.default": lambda max: _clamp(None, max),
    "sigmoid.default": nn.Sigmoid,
    "hardsigmoid.default": nn.Hardsigmoid,
    "silu.default": nn.SiLU,
    "hardswish.default": nn.Hardswish,
    "gelu.default": nn.GELU,
    "leaky_relu.default": nn.LeakyReLU,
    "elu.default": lambda alpha=1, scale=1, input_scale=1: _elu(alpha, scale, input_scale),
    "celu.default": nn.CELU,
    "selu.default": nn.SELU,
    "tanh.default": nn.Tanh,
    "mish.default": nn.Mish,
    "softplus.default": nn.Softplus,
    "log_sigmoid.default": nn.LogSigmoid,
    "hardshrink.default": lambda lambd=0.5: nn.Hardshrink(lambd),
    "softshrink.default": lambda lambd=0.5: nn.Softshrink(lambd),
    "softmax.int": _softmax,
    "_softmax.default": _softmax,
    "log_softmax.int": _log_softmax,
    "_log_softmax.default": _log_softmax,
    "pixel_shuffle.default": nn.PixelShuffle,
    "pixel_unshuffle.default": nn.PixelUnshuffle,
    "channel_shuffle.default": nn.ChannelShuffle,
}


@handles("rrelu_with_noise_functional.default")
def _random_relu(
    b: Builder, self: fx.Node, noise: Any, lower: float = 1 / 8, upper: float = 1 / 3, training: bool = False
) -> Made:
    """Answers with the slope in the middle; the random one is for training."""
    return b.layer(nn.LeakyReLU((lower + upper) / 2), self), None


def _elu(alpha: float, scale: float, input_scale: float) -> nn.Module:
    selu = nn.functional.selu(torch.tensor([-1e9, 1.0], dtype=torch.float64))
    if abs(alpha * scale + float(selu[0])) < 1e-6 and abs(scale - float(selu[1])) < 1e-6:
        return nn.SELU()
    if scale != 1:
        raise Unsupported("a scaled ELU")
    return nn.ELU(alpha) if input_scale == 1 else nn.CELU(1 / input_scale)


@handles(*_ACTIVATIONS)
def _activation(b: Builder, **given: Any) -> Made:
    source = given.pop("self")
    if "dim" in given and b.is_batch(source, given["dim"]):
        raise Unsupported("a softmax over the images of a batch")
    return b.layer(_ACTIVATIONS[b.operation](**given), source)
