"""Means, sums and extremes over axes."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from training.onnx_input.step import Step, operation
from training.onnx_input.values import RefusedError, Value, axes_of, axis_of


def _product(x: Tensor, dim: list[int], keepdim: bool) -> Tensor:
    for axis in sorted(dim, reverse=True):
        x = torch.prod(x, axis, keepdim)
    return x


_REDUCTIONS: dict[str, Callable[..., Any]] = {
    "ReduceLogSumExp": torch.logsumexp,
    "ReduceMax": torch.amax,
    "ReduceMean": torch.mean,
    "ReduceMin": torch.amin,
    "ReduceProd": _product,
    "ReduceSum": torch.sum,
}
_NORMS = {"ReduceL1": 1, "ReduceL2": 2}


def _reduced(step: Step, function: Callable[..., Any], x: Value, *first: Any) -> Value:
    axes = step.ints("axes", 1)
    if not axes:
        if step.attr("noop_with_empty_axes", 0):
            return x
        axes = list(range(x.rank))
    return step.call(function, x, *first, axes_of(axes, x.rank), bool(step.attr("keepdims", 1)))


@operation(*_REDUCTIONS)
def reduction(step: Step) -> Value:
    return _reduced(step, _REDUCTIONS[step.op], step.x)


@operation(*_NORMS)
def norm(step: Step) -> Value:
    return _reduced(step, torch.linalg.vector_norm, step.x, _NORMS[step.op])


@operation("ReduceSumSquare")
def sum_of_squares(step: Step) -> Value:
    return _reduced(step, torch.sum, step.call(torch.square, step.x))


@operation("CumSum")
def running_sum(step: Step) -> Value:
    axis = axis_of(int(step.constant(1, "axis")), step.x.rank)
    if step.attr("exclusive", 0) or step.attr("reverse", 0):
        raise RefusedError("it sums from the end, or without a number itself, which is not supported")
    return step.call(torch.cumsum, step.x, axis)


@operation("ArgMax", "ArgMin")
def best(step: Step) -> Value:
    if step.attr("select_last_index", 0):
        raise RefusedError("it takes the last of equal numbers, which is not supported")
    function = torch.argmax if step.op == "ArgMax" else torch.argmin
    return step.call(function, step.x, step.attr("axis", 0), bool(step.attr("keepdims", 1)))
