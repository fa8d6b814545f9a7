"""Exported operations that become convolutions and fully connected layers.

A layer is built from the operation's own arguments, never from the module that called it: a hook or a
subclass's own forward method may do something else there.
"""

from typing import Any

import torch
from torch import Tensor, fx, nn

from merges.reading.builder import Builder, Made, Unsupported, each_side, handles, own


@handles("conv1d.default", "conv1d.padding", "conv2d.default", "conv2d.padding")
def _conv(
    b: Builder,
    input: fx.Node,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Made:
    own(weight, bias)
    spatial = _sides(weight)
    kernel, steps, spread = weight.shape[2:], each_side(stride, spatial), each_side(dilation, spatial)
    if isinstance(padding, str):
        total = [d * (k - 1) if padding == "same" else 0 for d, k in zip(spread, kernel, strict=True)]
        before = tuple(t // 2 for t in total)
        if any(t % 2 for t in total):
            input = b.padded(input, [(first, t - first) for first, t in zip(before, total, strict=True)])
            before = (0,) * spatial
    else:
        before = each_side(padding, spatial)
    build = nn.Conv2d if spatial == 2 else nn.Conv1d
    channels = weight.shape[1] * groups
    shape = channels, weight.shape[0], tuple(kernel)
    conv = build(*shape, steps, before, spread, groups, bias is not None, device="meta")  # type: ignore[arg-type]
    return b.layer(b.filled(conv, weight=weight, bias=bias), input)


def _sides(weight: Tensor) -> int:
    if weight.ndim not in (3, 4):
        raise Unsupported("a convolution over other than one or two sides")
    return weight.ndim - 2


@handles("conv_transpose1d.default", "conv_transpose2d.input")
def _conv_transpose(
    b: Builder,
    input: fx.Node,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Made:
    own(weight, bias)
    spatial = _sides(weight)
    build = nn.ConvTranspose2d if spatial == 2 else nn.ConvTranspose1d
    places = [each_side(value, spatial) for value in (stride, padding, output_padding)]
    shape = weight.shape[0], weight.shape[1] * groups, tuple(weight.shape[2:])
    dilated = each_side(dilation, spatial)
    options: dict[str, Any] = {"groups": groups, "bias": bias is not None, "dilation": dilated}
    conv = build(*shape, *places, **options)  # type: ignore[arg-type]
    return b.layer(b.filled(conv, weight=weight, bias=bias), input)


@handles("convolution.default")
def _convolution(
    b: Builder,
    input: fx.Node,
    weight: Tensor,
    bias: Tensor | None,
    stride: Any,
    padding: Any,
    dilation: Any,
    transposed: bool,
    output_padding: Any,
    groups: int,
) -> Made:
    if transposed:
        return _conv_transpose(b, input, weight, bias, stride, padding, output_padding, groups, dilation)
    return _conv(b, input, weight, bias, stride, padding, dilation, groups)


@handles("linear.default")
def _linear(b: Builder, input: fx.Node, weight: Tensor, bias: Tensor | None = None) -> Made:
    own(weight, bias)
    linear = nn.Linear(weight.shape[1], weight.shape[0], bias is not None, device="meta")
    return b.layer(b.filled(linear, weight=weight, bias=bias), input)


@handles("addmm.default")
def _addmm(b: Builder, self: Any, mat1: Any, mat2: Any, beta: float = 1, alpha: float = 1) -> Made:
    if isinstance(mat1, Tensor) or alpha != 1 or beta != 1:
        raise Unsupported("a scaled product of matrices")
    return _linear(b, mat1, mat2.t() if isinstance(mat2, Tensor) else mat2, self)


@handles("matmul.default", "mm.default", "bmm.default")
def _matmul(b: Builder, self: Any = None, other: Any = None, **named: Any) -> Made:
    first, second = self, other if other is not None else named["mat2"]
    if isinstance(second, Tensor) and second.ndim == 2 and isinstance(first, fx.Node):
        return _linear(b, first, second.t())
    return b.function(torch.matmul, b.operand(first), b.operand(second))
