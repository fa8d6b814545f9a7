"""Convolutions and transposed convolutions."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.onnx_input.operations.windows import Window, padded, window
from training.onnx_input.step import Step, operation
from training.onnx_input.values import RefusedError, Value

_CONV: dict[int, Any] = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
_TRANSPOSED: dict[int, Any] = {1: nn.ConvTranspose1d, 2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}


@operation("Conv")
def conv(step: Step) -> Value:
    weight, bias = _weights(step)
    shape = window(step, list(weight.shape[2:]))
    groups = step.attr("group", 1)
    x, padding = padded(step, step.x, shape)
    layer = _CONV[len(shape.kernel)](
        weight.shape[1] * groups,
        weight.shape[0],
        tuple(shape.kernel),
        stride=tuple(shape.strides),
        padding=padding,
        dilation=tuple(shape.dilations),
        groups=groups,
        bias=bias is not None,
        device="meta",
    )
    return step.layer(layer, x, weight=weight, bias=bias)


@operation("ConvTranspose")
def conv_transpose(step: Step) -> Value:
    weight, bias = _weights(step)
    shape = window(step, list(weight.shape[2:]), auto=False)
    groups, extra = step.attr("group", 1), step.attr("output_padding", [0] * len(shape.kernel))
    before, after = _cropped(step, shape, extra)
    symmetric = before == after
    layer = _TRANSPOSED[len(shape.kernel)](
        weight.shape[0],
        weight.shape[1] * groups,
        tuple(shape.kernel),
        stride=tuple(shape.strides),
        padding=tuple(before) if symmetric else 0,
        output_padding=tuple(extra),
        groups=groups,
        bias=bias is not None,
        dilation=tuple(shape.dilations),
        device="meta",
    )
    made = step.layer(layer, step.x, weight=weight, bias=bias)
    if symmetric:
        return made
    # Negative padding cuts off.
    crops = [-side for pair in reversed(list(zip(before, after, strict=True))) for side in pair]
    return step.call(functional.pad, made, crops)


def _weights(step: Step) -> tuple[Tensor, Tensor | None]:
    weight = step.constant(1, "weights")
    if weight.ndim - 2 not in _CONV or step.x.rank != weight.ndim:
        raise RefusedError(f"it has weights of {weight.ndim} dimensions for an input of {step.x.rank}")
    return weight, None if step.given(2) is None else step.constant(2, "biases")


def _cropped(step: Step, shape: Window, extra: list[int]) -> tuple[list[int], list[int]]:
    """What a transposed convolution leaves out before and behind."""
    auto, wanted = step.attr("auto_pad", "NOTSET"), step.attr("output_shape")
    rank = len(shape.kernel)
    reach = [(k - 1) * d + 1 + e for k, d, e in zip(shape.kernel, shape.dilations, extra, strict=True)]
    if wanted is not None:
        sides = [step.x.side(axis + 2) for axis in range(rank)]
        total = [
            s * (i - 1) + r - w
            for s, i, r, w in zip(shape.strides, sides, reach, wanted[-rank:], strict=True)
        ]
    elif auto.startswith("SAME"):
        total = [r - s for r, s in zip(reach, shape.strides, strict=True)]
    else:
        return shape.before, shape.after
    if min(total) < 0:
        raise RefusedError("it gives more than its windows reach")
    small, large = [t // 2 for t in total], [t - t // 2 for t in total]
    return (small, large) if auto == "SAME_UPPER" else (large, small)


@operation("MatMul")
def matmul(step: Step) -> Value:
    weight = step.input(1).constant
    if weight is None or weight.ndim != 2 or step.x.known:
        return step.call(torch.matmul, step.x, step.input(1))
    layer = nn.Linear(weight.shape[0], weight.shape[1], bias=False, device="meta")
    return step.layer(layer, step.x, weight=weight.t().contiguous())


@operation("Gemm")
def gemm(step: Step) -> Value:
    weight, x = step.input(1).constant, step.x
    alpha, beta = step.attr("alpha", 1.0), step.attr("beta", 1.0)
    bias = step.given(2)
    if step.attr("transA", 0):
        x = step.call(torch.t, x)
    if weight is None or weight.ndim != 2 or not (bias is None or _is_row(bias)):
        second = step.call(torch.t, step.input(1)) if step.attr("transB", 0) else step.input(1)
        product = step.call(torch.mul, step.call(torch.matmul, x, second), alpha)
        return product if bias is None else step.call(torch.add, product, bias, alpha=beta)
    weight = alpha * (weight if step.attr("transB", 0) else weight.t())
    row = None
    if bias is not None and bias.constant is not None:
        row = (beta * bias.constant).flatten().expand(weight.shape[0])
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=row is not None, device="meta")
    return step.layer(layer, x, weight=weight.contiguous(), bias=row)


def _is_row(bias: Value) -> bool:
    """Whether it is the same for every image."""
    constant = bias.constant
    return constant is not None and (constant.ndim < 2 or constant.shape[0] == 1)


@operation("Einsum")
def einsum(step: Step) -> Value:
    return step.call(torch.einsum, step.attr("equation"), *step.inputs)
