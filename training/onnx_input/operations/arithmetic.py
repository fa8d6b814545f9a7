"""Sums, products and comparisons of several tensors."""

import operator
from collections.abc import Callable
from typing import Any

import torch
from onnx import TensorProto
from torch import Tensor

from training.onnx_input.step import Step, operation
from training.onnx_input.values import RefusedError, Value

_BINARY: dict[str, Callable[[Any, Any], Any]] = {
    "Add": operator.add,
    "Sub": operator.sub,
    "Mul": operator.mul,
    "Pow": operator.pow,
}
_COMPARISONS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "And": torch.logical_and,
    "Equal": torch.eq,
    "Greater": torch.gt,
    "GreaterOrEqual": torch.ge,
    "Less": torch.lt,
    "LessOrEqual": torch.le,
    "Or": torch.logical_or,
    "Xor": torch.logical_xor,
}
_VARIADIC: dict[str, Callable[[Any, Any], Any]] = {
    "Max": torch.maximum,
    "Mean": operator.add,
    "Min": torch.minimum,
    "Sum": operator.add,
}


def operand(value: Value, other: Value) -> Value | float:
    """A constant of one element as a number, where that leaves shape and type as they are."""
    constant = value.constant
    if constant is None or other.known or constant.numel() != 1 or constant.ndim > other.rank:
        return value
    return constant.item() if constant.is_floating_point() and other.dtype == constant.dtype else value


@operation(*_BINARY)
def binary(step: Step) -> Value:
    a, b = step.x, step.input(1)
    made = step.call(_BINARY[step.op], operand(a, b), operand(b, a))
    # A power has the type of its base.
    return step.call(Tensor.to, made, a.dtype) if made.dtype != a.dtype and step.op == "Pow" else made


@operation("Div")
def div(step: Step) -> Value:
    a, b = step.x, step.input(1)
    if a.dtype.is_floating_point:
        return step.call(operator.truediv, operand(a, b), operand(b, a))
    return step.call(torch.div, a, b, rounding_mode="trunc")


@operation("Mod")
def mod(step: Step) -> Value:
    return step.call(torch.fmod if step.attr("fmod", 0) else torch.remainder, step.x, step.input(1))


@operation(*_COMPARISONS)
def comparison(step: Step) -> Value:
    return step.call(_COMPARISONS[step.op], step.x, step.input(1))


@operation(*_VARIADIC)
def variadic(step: Step) -> Value:
    total = step.x
    for value in step.inputs[1:]:
        total = step.call(_VARIADIC[step.op], total, value)
    return step.call(operator.truediv, total, len(step.inputs)) if step.op == "Mean" else total


@operation("Where")
def where(step: Step) -> Value:
    return step.call(torch.where, step.x, step.input(1), step.input(2))


@operation("Cast", "CastLike")
def cast(step: Step) -> Value:
    x = step.x
    wanted = step.input(1).dtype if step.op == "CastLike" else _torch_type(step.attr("to"))
    return x if wanted == x.dtype else step.call(Tensor.to, x, wanted)


_TYPES: dict[int, torch.dtype] = {
    TensorProto.FLOAT: torch.float32,
    TensorProto.DOUBLE: torch.float64,
    TensorProto.FLOAT16: torch.float16,
    TensorProto.BFLOAT16: torch.bfloat16,
    TensorProto.BOOL: torch.bool,
    TensorProto.UINT8: torch.uint8,
    TensorProto.INT8: torch.int8,
    TensorProto.INT16: torch.int16,
    TensorProto.INT32: torch.int32,
    TensorProto.INT64: torch.int64,
}


def _torch_type(number: int) -> torch.dtype:
    if number not in _TYPES:
        raise RefusedError("torch has no numbers of the type that it casts to")
    return _TYPES[number]
