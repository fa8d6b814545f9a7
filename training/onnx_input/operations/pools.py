"""Poolings over windows and over whole images."""

import math
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from training.onnx_input.operations.windows import Window, padded, window
from training.onnx_input.step import Step, operation
from training.onnx_input.values import RefusedError, Value

_MAX: dict[int, Any] = {1: nn.MaxPool1d, 2: nn.MaxPool2d, 3: nn.MaxPool3d}
_AVERAGE: dict[int, Any] = {1: nn.AvgPool1d, 2: nn.AvgPool2d, 3: nn.AvgPool3d}
_GLOBAL: dict[str, dict[int, Any]] = {
    "GlobalAveragePool": {1: nn.AdaptiveAvgPool1d, 2: nn.AdaptiveAvgPool2d, 3: nn.AdaptiveAvgPool3d},
    "GlobalMaxPool": {1: nn.AdaptiveMaxPool1d, 2: nn.AdaptiveMaxPool2d, 3: nn.AdaptiveMaxPool3d},
}


@operation(*_GLOBAL)
def whole(step: Step) -> Value:
    return step.call(_GLOBAL[step.op][step.x.rank - 2](1), step.x)


@operation("MaxPool")
def max_pool(step: Step) -> Value:
    shape = _pool_window(step)
    x, padding = padded(step, step.x, shape, -math.inf)
    layer = _MAX[len(shape.kernel)](
        tuple(shape.kernel),
        tuple(shape.strides),
        padding,
        tuple(shape.dilations),
        ceil_mode=bool(step.attr("ceil_mode", 0)),
    )
    return step.call(layer, x)


@operation("AveragePool")
def average_pool(step: Step) -> Value:
    shape = _pool_window(step)
    if set(shape.dilations) != {1}:
        raise RefusedError("it is dilated, which torch's average pooling is not")
    counted, ceil = bool(step.attr("count_include_pad", 0)), bool(step.attr("ceil_mode", 0))
    x, padding = padded(step, step.x, shape)
    layer = _AVERAGE[len(shape.kernel)](
        tuple(shape.kernel), tuple(shape.strides), padding, ceil_mode=ceil, count_include_pad=counted
    )
    made = step.call(layer, x)
    if counted or shape.symmetric:
        return made
    # The padding is there by now: divide by the share of the window that lies in the image.
    ones, _ = padded(step, step.call(torch.ones_like, step.x), shape)
    return step.call(torch.div, made, step.call(layer, ones))


def _pool_window(step: Step) -> Window:
    shape = window(step, [int(side) for side in step.attr("kernel_shape", [])])
    if not step.attr("ceil_mode", 0):
        return _without_idle_padding(step, shape)
    if not shape.symmetric:
        raise RefusedError("it rounds up with another padding before than behind, which is not supported")
    return shape


def _without_idle_padding(step: Step, shape: Window) -> Window:
    """Padding behind that no window reaches is left out, so that more paddings are the same on both sides."""
    after = list(shape.after)
    for axis, end in enumerate(after):
        sides = set(step.x.sides[axis + 2])
        start, stride = shape.before[axis], shape.strides[axis]
        reach = (shape.kernel[axis] - 1) * shape.dilations[axis] + 1
        if end > start and len(sides) == 1:
            idle = (sides.pop() + start + end - reach) % stride
            after[axis] = max(start, end - idle)
        if max(start, end) > shape.kernel[axis] // 2 and start == after[axis]:
            raise RefusedError("its padding is more than half of its window, which is not supported")
    return replace(shape, after=after)
