"""Exported operations that give values other sizes or another order.

Sizes that an operation does not change are not written into the graph: the number of images stays free, and
so do height and width where the network allows it.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, fx, nn

from merges.functions import expand
from merges.reading.builder import Builder, Made, Sizes, Unsupported, handles


@handles(
    "view.default",
    "reshape.default",
    "_unsafe_view.default",
    "flatten.using_ints",
    "unflatten.int",
    "squeeze.dim",
    "squeeze.dims",
    "squeeze.default",
    "unsqueeze.default",
    "view_as.default",
    "reshape_as.default",
)
def _reshape(b: Builder, self: fx.Node, **given: Any) -> Made:
    return reshaped(b, self, b.answer_sizes())


def reshaped(b: Builder, source: fx.Node, wanted: Sizes) -> fx.Node:
    """A node with other sizes: dimensions flattened or parted where that is all, else a reshape."""
    given = b.sizes(source)
    if given == wanted:
        return source
    first, behind = _alike(given, wanted)
    old, new = given[first : len(given) - behind], wanted[first : len(wanted) - behind]
    if not old or not new:  # a dimension of one comes or goes: with its neighbour
        first, behind = (first - 1, behind) if first > 1 or not behind else (first, behind - 1)
        old, new = given[first : len(given) - behind], wanted[first : len(wanted) - behind]
    if len(new) == 1:
        return b.function(torch.flatten, source, first, first + len(old) - 1)
    if len(old) == 1 and not any(isinstance(size, str) for size in new):
        last = max(i for i, size in enumerate(new) if size != 1 or i == 0)  # follows from the others
        parts = [-1 if i == last else size for i, size in enumerate(new)]
        return b.function(torch.unflatten, source, first, parts)
    if sum(isinstance(size, str) for size in wanted) > 1:
        raise Unsupported("several of its sizes depend on the number of images")
    return b.function(torch.reshape, source, _numbers(wanted))


def _numbers(sizes: Sizes) -> list[int]:
    """Sizes as a reshape takes them."""
    return [-1 if isinstance(size, str) else size for size in sizes]


def _alike(given: Sizes, wanted: Sizes) -> tuple[int, int]:
    """How many sizes are the same at the front, and how many of the rest at the back."""
    shorter = min(len(given), len(wanted))
    first = next((i for i in range(shorter) if given[i] != wanted[i]), shorter)
    behind = next((i for i in range(shorter - first) if given[-1 - i] != wanted[-1 - i]), shorter - first)
    return first, behind


@handles("permute.default")
def _permute(b: Builder, self: fx.Node, dims: Sequence[int]) -> Made:
    order = [dim % len(dims) for dim in dims]
    return self if order == sorted(order) else b.function(torch.permute, self, order)


@handles("transpose.int", "t.default", "numpy_T.default", "mT.default")
def _transpose(b: Builder, self: fx.Node, dim0: int = -2, dim1: int = -1) -> Made:
    order = list(range(len(b.sizes(self))))
    order[dim0], order[dim1] = order[dim1], order[dim0]
    return _permute(b, self, order)


@handles("expand.default", "expand_as.default")
def _expand(b: Builder, self: fx.Node, **given: Any) -> Made:
    wanted, own = b.answer_sizes(), b.sizes(self)
    if wanted == own:
        return self
    added = len(wanted) - len(own)
    kept = [-1 if i >= added and own[i - added] == size else size for i, size in enumerate(wanted)]
    if any(isinstance(size, str) for size in kept):
        raise Unsupported("it repeats maps once for each image")
    return b.function(expand, self, kept)


@handles("flip.default")
def _flip(b: Builder, self: fx.Node, dims: Sequence[int]) -> Made:
    _refuse_batch(b, self, dims)
    return b.function(torch.flip, self, list(dims))


@handles("roll.default")
def _roll(b: Builder, self: fx.Node, shifts: Sequence[int], dims: Sequence[int] = ()) -> Made:
    _refuse_batch(b, self, dims)
    return b.function(torch.roll, self, list(shifts), list(dims))


@handles("im2col.default")
def _unfold(b: Builder, self: fx.Node, **given: Any) -> Made:
    return b.function(nn.functional.unfold, self, *given.values())


@handles("repeat.default")
def _repeat(b: Builder, self: fx.Node, repeats: Sequence[int]) -> Made:
    if not all(isinstance(count, int) for count in repeats):
        raise Unsupported("it repeats maps once for each image")
    return self if math.prod(repeats) == 1 else b.function(torch.Tensor.repeat, self, *repeats)


@handles("index_select.default", "index.Tensor")
def _take(b: Builder, self: fx.Node, **given: Any) -> Made:
    """Slices of maps by constant numbers or marks along one dimension (a fixed order of channels)."""
    indices = [None] * given["dim"] + [given["index"]] if "dim" in given else list(given["indices"])
    chosen = [(dim, index) for dim, index in enumerate(indices) if index is not None]
    plain = len(chosen) == 1 and isinstance(chosen[0][1], Tensor) and chosen[0][1].ndim == 1
    if not plain or b.is_batch(self, chosen[0][0]):
        raise Unsupported("it picks values by numbers that are worked out, or images of a batch")
    dim, index = chosen[0]
    if index.dtype is torch.bool:
        index = index.nonzero()[:, 0]
    size = b.sizes(self)[dim]
    assert isinstance(size, int), "the dimension counts no images"
    return b.function(torch.index_select, self, dim, b.operand(index.long() % size))


def _refuse_batch(b: Builder, value: fx.Node, dims: Sequence[int]) -> None:
    if not dims or any(b.is_batch(value, dim) for dim in dims):
        raise Unsupported("it moves the images of a batch")
