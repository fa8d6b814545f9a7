"""Exported operations that cut maps, join them, or write into parts of them."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import fx

from merges.functions import cut
from merges.reading.builder import Builder, Made, Sizes, Unsupported, handles
from merges.reading.operations.shapes import reshaped

_END = 2**31


@handles("slice.Tensor")
def _slice(
    b: Builder, self: fx.Node, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1
) -> Made:
    size = b.sizes(self)[dim]
    if isinstance(size, str):
        if _all_of(size, start, end, step):
            return self
        raise Unsupported("it takes some images of a batch")
    first, last, _ = slice(start, end, 1).indices(size)
    return _cut(b, self, dim % len(b.sizes(self)), first, max(first, last), step)


def _all_of(size: str, start: Any, end: Any, step: int) -> bool:
    """Whether a slice of a dimension whose size is not known takes all of it."""
    last = end is None or (end > _END if isinstance(end, int) else str(end.node.expr) == size)
    return start in (None, 0) and step == 1 and last


def _cut(b: Builder, source: fx.Node, dim: int, first: int, last: int, step: int = 1) -> fx.Node:
    size = b.sizes(source)[dim]
    assert isinstance(size, int)
    if (first, last, step) == (0, size, 1):
        return source
    node = b.function(cut, source, dim, first, None if last == size else last, *((step,) if step > 1 else ()))
    node.meta["sizes"] = (*b.sizes(source)[:dim], len(range(first, last, step)), *b.sizes(source)[dim + 1 :])
    return node


@handles("select.int")
def _select(b: Builder, self: fx.Node, dim: int, index: int) -> Made:
    size = b.sizes(self)[dim]
    if isinstance(size, str):
        raise Unsupported("it takes one image of a batch")
    first = index % size
    return reshaped(b, _cut(b, self, dim % len(b.sizes(self)), first, first + 1), b.answer_sizes())


@handles(
    "split.Tensor",
    "split_with_sizes.default",
    "chunk.default",
    "tensor_split.sections",
    "unsafe_split.Tensor",
)
def _split(b: Builder, self: fx.Node, dim: int = 0, **given: Any) -> Made:
    assert b.origin is not None
    return _pieces(b, self, dim, [b.answer_sizes(i) for i in range(len(b.origin.meta["val"]))])


@handles("unbind.int")
def _unbind(b: Builder, self: fx.Node, dim: int = 0) -> Made:
    axis = dim % len(b.sizes(self))
    if b.is_batch(self, axis):
        raise Unsupported("it parts the images of a batch")
    count, wanted = int(b.sizes(self)[axis]), b.answer_sizes(0)
    kept = [(*wanted[:axis], 1, *wanted[axis:])] * count
    return tuple(reshaped(b, piece, wanted) for piece in _pieces(b, self, axis, kept))


def _pieces(b: Builder, source: fx.Node, dim: int, sizes: Sequence[Sizes]) -> tuple[fx.Node, ...]:
    axis, start, made = dim % len(b.sizes(source)), 0, []
    if b.is_batch(source, axis):
        raise Unsupported("it parts the images of a batch")
    for piece in sizes:
        length = piece[axis]
        assert isinstance(length, int)
        made.append(_cut(b, source, axis, start, start + length))
        start += length
    return tuple(made)


@handles("cat.default", "concat.default", "concatenate.default")
def _concatenate(b: Builder, tensors: Sequence[Any], dim: int = 0) -> Made:
    axis = dim % len(b.answer_sizes())
    if isinstance(b.answer_sizes()[axis], str):
        raise Unsupported("it puts the images of several batches together")
    parts = [part for part in tensors if 0 not in b.sizes(part)]
    many = any(isinstance(size, str) for size in b.answer_sizes())
    parts = [b.for_each_image(part) if many else b.operand(part) for part in parts]
    return parts[0] if len(parts) == 1 else b.function(torch.cat, parts, axis)


@handles("stack.default")
def _stack(b: Builder, tensors: Sequence[Any], dim: int = 0) -> Made:
    wanted = b.answer_sizes()
    axis = dim % len(wanted)
    single = (*wanted[:axis], 1, *wanted[axis + 1 :])
    parts = []
    for value in tensors:
        part = reshaped(b, b.for_each_image(value), single)
        part.meta.setdefault("sizes", single)
        parts.append(part)
    return _concatenate(b, parts, axis)


@handles("slice_scatter.default")
def _write_slice(
    b: Builder,
    self: Any,
    src: Any,
    dim: int = 0,
    start: int | None = None,
    end: int | None = None,
    step: int = 1,
) -> Made:
    """What a write into a part of maps leaves: the part in its place, the rest around it."""
    size = b.sizes(self)[dim]
    if isinstance(size, str):
        if _all_of(size, start, end, step):
            return src
        raise Unsupported("it writes into some images of a batch")
    axis = dim % len(b.sizes(self))
    first, last, _ = slice(start, end, 1).indices(size)
    if (first, last, step) == (0, size, 1):
        return src
    whole, part = b.for_each_image(self), b.for_each_image(src)
    whole.meta.setdefault("sizes", b.answer_sizes())
    if step > 1:
        return b.function(torch.slice_scatter, whole, part, axis, first, last, step)
    before = [_cut(b, whole, axis, 0, first)] if first else []
    after = [_cut(b, whole, axis, last, size)] if last < size else []
    return b.function(torch.cat, [*before, part, *after], axis)


@handles("select_scatter.default")
def _write_one(b: Builder, self: Any, src: Any, dim: int, index: int) -> Made:
    axis, wanted = dim % len(b.answer_sizes()), b.answer_sizes()
    if isinstance(wanted[axis], str):
        raise Unsupported("it writes into one image of a batch")
    single = (*wanted[:axis], 1, *wanted[axis + 1 :])
    part = reshaped(b, b.for_each_image(src), single)
    first = index % int(wanted[axis])
    return _write_slice(b, self, part, axis, first, first + 1)
