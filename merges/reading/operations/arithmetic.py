"""Exported operations that become functions of values one by one.

A number is added or multiplied in one way only: subtracting it is adding its negative, dividing by it is
multiplying by its inverse.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, fx

from merges.reading.builder import Builder, Made, handles

_Number = int | float


def _number(value: Any) -> _Number | None:
    if isinstance(value, Tensor) and value.ndim == 0:
        return value.item()
    return value if isinstance(value, (int, float)) else None


@handles("add.Tensor", "add.Scalar")
def _add(b: Builder, self: Any, other: Any, alpha: _Number = 1) -> Made:
    return b.function(torch.add, *_in_order(b, self, _scaled(b, other, alpha)))


@handles("sub.Tensor", "sub.Scalar")
def _subtract(b: Builder, self: Any, other: Any, alpha: _Number = 1) -> Made:
    if _number(other) is None and alpha == 1:
        return b.function(torch.sub, b.operand(self), b.operand(other))
    return _add(b, self, other, -alpha)


@handles("rsub.Scalar", "rsub.Tensor")
def _subtract_from(b: Builder, self: Any, other: Any, alpha: _Number = 1) -> Made:
    return _add(b, other, self, -alpha)


@handles("neg.default")
def _negative(b: Builder, self: fx.Node) -> Made:
    return _scaled(b, self, -1)


@handles("mul.Tensor", "mul.Scalar")
def _multiply(b: Builder, self: Any, other: Any) -> Made:
    return b.function(torch.mul, *_in_order(b, self, other))


@handles("div.Tensor", "div.Scalar")
def _divide(b: Builder, self: Any, other: Any) -> Made:
    number = _number(other)
    if number is not None:
        return _scaled(b, self, 1 / number)
    return b.function(torch.div, b.operand(self), b.operand(other))


@handles("div.Tensor_mode", "div.Scalar_mode")
def _divide_rounded(b: Builder, self: Any, other: Any, rounding_mode: str | None = None) -> Made:
    return b.function(torch.div, b.operand(self), b.operand(other), rounding_mode=rounding_mode)


def _scaled(b: Builder, value: Any, factor: _Number) -> Any:
    """A value times a number."""
    if factor == 1:
        return value
    number = _number(value)
    if number is not None:
        return number * factor
    if isinstance(value, Tensor):
        return value * factor
    made = b.function(torch.mul, value, factor)
    made.meta["sizes"] = b.sizes(value)
    return made


def _in_order(b: Builder, first: Any, second: Any) -> tuple[Any, Any]:
    """Operands with maps first: a number or a constant stands behind."""
    if isinstance(first, fx.Node):
        return first, b.operand(second)
    return second, b.operand(first)


_OF_ONE: dict[str, Callable[..., Tensor]] = {
    f"{name}.default": getattr(torch, name)
    for name in (
        "exp", "log", "log2", "log10", "log1p", "expm1", "sqrt", "rsqrt", "abs", "sin", "cos", "tan", "atan",
        "erf", "floor", "ceil", "round", "sign", "square", "reciprocal", "isnan", "logical_not",
        "bitwise_not", "sinh", "cosh",
    )
}  # fmt: skip


_OF_TWO: dict[str, Callable[..., Tensor]] = {
    f"{name}.{kind}": getattr(torch, name)
    for name, kinds in {
        "maximum": ("default",),
        "minimum": ("default",),
        "pow": ("Tensor_Scalar", "Tensor_Tensor", "Scalar"),
        "eq": ("Tensor", "Scalar"),
        "ne": ("Tensor", "Scalar"),
        "lt": ("Tensor", "Scalar"),
        "le": ("Tensor", "Scalar"),
        "gt": ("Tensor", "Scalar"),
        "ge": ("Tensor", "Scalar"),
        "atan2": ("default",),
        "fmod": ("Tensor", "Scalar"),
        "remainder": ("Tensor", "Scalar"),
        "logical_and": ("default",),
        "logical_or": ("default",),
        "bitwise_and": ("Tensor", "Scalar"),
        "bitwise_or": ("Tensor", "Scalar"),
        "floor_divide": ("default", "Scalar"),
        "masked_fill": ("Scalar",),
        "where": ("self", "ScalarOther", "ScalarSelf"),
        "clamp": ("Tensor",),
    }.items()
    for kind in kinds
}


@handles(*_OF_ONE, *_OF_TWO)
def _same(b: Builder, **given: Any) -> Made:
    function = _OF_ONE.get(b.operation) or _OF_TWO[b.operation]
    return b.function(function, *(b.operand(value) for value in given.values()))
