"""Exported operations that go over dimensions of maps, or mix their places."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, fx, nn

from merges.reading.builder import Builder, Made, Unsupported, handles

_OVER_BATCH = "it mixes the images of a batch"


@handles("mean.dim")
def _mean(b: Builder, self: fx.Node, dim: Any, keepdim: bool = False, dtype: Any = None) -> Made:
    dims = _dims(b, self, dim)
    if dims != (2, 3) or len(b.sizes(self)) != 4:
        return b.function(torch.mean, self, dims, keepdim)
    means = b.layer(nn.AdaptiveAvgPool2d(1), self)
    if keepdim:
        return means
    means.meta["sizes"] = (*b.sizes(self)[:2], 1, 1)
    return b.function(torch.flatten, means, 1)


_REDUCTIONS: dict[str, Callable[..., Tensor]] = {
    "sum.dim_IntList": torch.sum,
    "amax.default": torch.amax,
    "amin.default": torch.amin,
    "logsumexp.default": torch.logsumexp,
}


@handles(*_REDUCTIONS)
def _reduce(b: Builder, self: fx.Node, dim: Any = None, keepdim: bool = False, dtype: Any = None) -> Made:
    return b.function(_REDUCTIONS[b.operation], self, _dims(b, self, dim), keepdim)


@handles("max.dim", "min.dim")
def _extreme(b: Builder, self: fx.Node, dim: int, keepdim: bool = False) -> Made:
    function = torch.amax if b.operation.startswith("max") else torch.amin
    return b.function(function, self, _dims(b, self, dim), keepdim), None


@handles("var.correction", "std.correction")
def _deviation(
    b: Builder, self: fx.Node, dim: Any = None, correction: float | None = None, keepdim: bool = False
) -> Made:
    function = torch.var if b.operation.startswith("var") else torch.std
    correction = 1 if correction is None else correction
    return b.function(function, self, _dims(b, self, dim), correction=correction, keepdim=keepdim)


@handles("var_mean.correction", "std_mean.correction")
def _deviation_and_mean(
    b: Builder, self: fx.Node, dim: Any = None, correction: float | None = None, keepdim: bool = False
) -> Made:
    return _deviation(b, self, dim, correction, keepdim), _mean(b, self, dim, keepdim)


@handles("linalg_vector_norm.default", "norm.ScalarOpt_dim")
def _vector_norm(b: Builder, self: fx.Node, dim: Any = None, keepdim: bool = False, **order: Any) -> Made:
    power = order.get("ord", order.get("p"))
    return b.function(
        torch.linalg.vector_norm, self, 2 if power is None else power, _dims(b, self, dim), keepdim
    )


@handles("argmax.default", "argmin.default", "cumsum.default")
def _along(b: Builder, self: fx.Node, dim: int | None = None, **given: Any) -> Made:
    function = getattr(torch, b.operation.removesuffix(".default"))
    (axis,) = _dims(b, self, dim) if dim is not None else (None,)
    if axis is None:
        raise Unsupported(_OVER_BATCH)
    return b.function(function, self, axis, **({"keepdim": True} if given.get("keepdim") else {}))


def _dims(b: Builder, value: fx.Node, dim: Any) -> tuple[int, ...]:
    """The dimensions that an operation goes over, counted from the front; never the images."""
    count = len(b.sizes(value))
    listed = range(count) if dim is None or dim == [] else [dim] if isinstance(dim, int) else dim
    dims = tuple(sorted(d % count for d in listed))
    if any(b.is_batch(value, d) for d in dims):
        raise Unsupported(_OVER_BATCH)
    return dims


@handles("scaled_dot_product_attention.default")
def _attention(b: Builder, query: Any, key: Any, value: Any, **given: Any) -> Made:
    kept = {name: b.operand(option) for name, option in given.items() if option is not None}
    return b.function(nn.functional.scaled_dot_product_attention, query, key, value, **kept)


@handles("einsum.default")
def _einsum(b: Builder, equation: str, tensors: list[Any], path: Any = None) -> Made:
    return b.function(torch.einsum, equation, *(b.operand(value) for value in tensors))
