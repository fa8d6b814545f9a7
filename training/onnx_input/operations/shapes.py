"""The same numbers in another shape, and shapes as numbers."""

import math
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from training.onnx_input.step import Step, operation
from training.onnx_input.values import RefusedError, Size, Value, axes_of, axis_of


@operation("Shape")
def shape(step: Step) -> Value:
    part = slice(step.attr("start", 0), step.attr("end"))
    return step.known([torch.tensor(tuple(s.shape)[part]) for s in step.x.samples], [step.x])


@operation("Size")
def size(step: Step) -> Value:
    return step.known([torch.tensor(s.numel()) for s in step.x.samples], [step.x])


@operation("Constant")
def constant(step: Step) -> Value:
    for name in ("value", "value_float", "value_floats", "value_int", "value_ints"):
        if step.has(name):
            return step.known([torch.as_tensor(step.attr(name))] * len(step.runs))
    raise RefusedError("it holds no numbers")


@operation("ConstantOfShape")
def constant_of_shape(step: Step) -> Value:
    fill = step.attr("value", torch.zeros(1)).flatten()
    sides, origins = _numbers(step, 0)
    return step.known([fill.expand(math.prod(side)).reshape(side) for side in sides], origins)


@operation("Range")
def number_range(step: Step) -> Value:
    first, last, by = (step.input(i) for i in range(3))
    if not (first.known and last.known and by.known):
        raise RefusedError("its bounds are computed from the image; they must be constant")
    samples = zip(first.samples, last.samples, by.samples, strict=True)
    made = [torch.arange(a.item(), b.item(), c.item(), dtype=first.dtype) for a, b, c in samples]
    return step.known(made, [*first.origins, *last.origins, *by.origins])


@operation("Flatten")
def flatten(step: Step) -> Value:
    axis, x = step.attr("axis", 1), step.x
    axis = axis + x.rank if axis < 0 else axis
    if axis == 0:
        raise RefusedError("it puts all images into one row")
    if axis == 1 and not x.known:
        return x if x.rank == 2 else step.call(nn.Flatten(), x)
    behind = step.call(torch.flatten, x, axis) if axis < x.rank else step.call(torch.unsqueeze, x, axis)
    return step.call(torch.flatten, behind, 0, axis - 1)


def _numbers(step: Step, index: int) -> tuple[list[list[int]], list[Value]]:
    """Integers of an input in each run, and the tensors whose sides they are computed from."""
    value = step.input(index)
    if not value.known:
        raise RefusedError("its shape is computed from the image; it must be constant")
    return [[int(v) for v in s.flatten()] for s in value.samples], list(value.origins)


@operation("Reshape")
def reshape(step: Step) -> Value:
    asked, origins = _numbers(step, 1)
    return reshaped(step, step.x, asked, origins)


def reshaped(step: Step, x: Value, asked: list[list[int]], origins: Sequence[Value] = ()) -> Value:
    """A tensor in another shape, as the file asks for it in each run.

    What was reshaped before is taken as it was before: the images of a run may have been put into one row.
    """
    zero, batch = step.attr("allowzero", 0), None if x.known else step.batch
    targets = [_resolved(t, s, batch, zero) for t, s in zip(asked, x.samples, strict=True)]
    row = x.row or x
    made = _shaped(step, row, targets, origins)
    return made if made is row else replace(made, row=row)


def _shaped(step: Step, x: Value, targets: list[list[int]], origins: Sequence[Value]) -> Value:
    shapes = [tuple(s.shape) for s in x.samples]
    if targets == [list(s) for s in shapes]:
        return x
    if x.known:
        return step.known([s.reshape(t) for s, t in zip(x.samples, targets, strict=True)], x.origins)
    for first in range(x.rank):
        for last in range(first + 1, x.rank):
            if all(
                [*s[:first], math.prod(s[first : last + 1]), *s[last + 1 :]] == t
                for s, t in zip(shapes, targets, strict=True)
            ):
                whole = (first, last) == (1, x.rank - 1)
                return step.call(nn.Flatten(), x) if whole else step.call(torch.flatten, x, first, last)
    return step.call(torch.reshape, x, _entries(step, x, targets, origins))


def _resolved(target: list[int], x: Tensor, batch: int | None, zero: int) -> list[int]:
    """A target without 0 and -1, for as many images as there are in a run; without a batch, of a weight.

    Files that fix the batch write it into their targets; a first entry that is their batch stands for it.
    """
    sides = list(target)
    for axis, side in enumerate(sides):
        if side == 0 and not zero:
            sides[axis] = x.shape[axis]
    total, known = x.numel(), math.prod(s for s in sides if s != -1)
    if batch is not None:
        if -1 not in sides and known and known != total and sides[0] * total % known == 0:
            sides[0] = sides[0] * total // known
        elif -1 in sides[1:] and sides[0] == batch and x.ndim > 1:
            sides[0] = x.shape[0]
    known = math.prod(s for s in sides if s != -1)
    return [total // max(known, 1) if s == -1 else s for s in sides]


def _entries(step: Step, x: Value, targets: list[list[int]], origins: Sequence[Value]) -> list[int | Size]:
    """A target that holds for all runs: numbers, -1 for the first free side, sizes for others."""
    columns = list(zip(*targets, strict=True))
    free = [axis for axis, column in enumerate(columns) if len(set(column)) > 1]
    return [
        -1 if axis in free[:1] else step.express(column, [x, *origins]) for axis, column in enumerate(columns)
    ]


@operation("Squeeze")
def squeeze(step: Step) -> Value:
    x = step.x
    axes = step.ints("axes", 1)
    if axes is None:
        axes = [axis for axis, side in enumerate(x.sides) if set(side) == {1}]
    return step.call(torch.squeeze, x, axes_of(axes, x.rank)) if axes else x


@operation("Unsqueeze")
def unsqueeze(step: Step) -> Value:
    axes = step.ints("axes", 1) or []
    made = step.x
    for axis in sorted(axes_of(axes, made.rank + len(axes))):
        made = step.call(torch.unsqueeze, made, axis)
    return made


@operation("Transpose")
def transpose(step: Step) -> Value:
    x = step.x
    order = step.attr("perm", list(reversed(range(x.rank))))
    return x if order == list(range(x.rank)) else step.call(torch.permute, x, order)


@operation("Expand")
def expand(step: Step) -> Value:
    x = step.x
    asked, origins = _numbers(step, 1)
    shapes = [torch.broadcast_shapes(s.shape, tuple(t)) for s, t in zip(x.samples, asked, strict=True)]
    if all(tuple(s.shape) == wanted for s, wanted in zip(x.samples, shapes, strict=True)):
        return x
    if x.known:
        return step.known(
            [s.expand(w) for s, w in zip(x.samples, shapes, strict=True)], [*x.origins, *origins]
        )
    columns = list(zip(*shapes, strict=True))
    own = [(1,) * len(shapes)] * (len(columns) - x.rank) + x.sides
    entries = [
        -1 if mine == column and axis >= len(columns) - x.rank else step.express(column, [*origins, x])
        for axis, (mine, column) in enumerate(zip(own, columns, strict=True))
    ]
    return step.call(Tensor.expand, x, entries)


@operation("Tile")
def tile(step: Step) -> Value:
    return step.call(Tensor.repeat, step.x, step.ints("repeats", 1))


@operation("Concat")
def concat(step: Step) -> Value:
    axis = axis_of(step.attr("axis", 1), step.x.rank)
    return step.call(torch.cat, step.inputs, axis)


@operation("DepthToSpace")
def depth_to_space(step: Step) -> Value:
    block, x = step.attr("blocksize"), step.x
    if step.attr("mode", "DCR") == "DCR":
        # Torch counts the channel first, then the place in the block.
        order = torch.arange(x.side(1)).reshape(block * block, -1).t().flatten()
        x = step.call(torch.index_select, x, 1, step.known([order] * len(step.runs)))
    return step.call(nn.PixelShuffle(block), x)


@operation("SpaceToDepth")
def space_to_depth(step: Step) -> Value:
    block = step.attr("blocksize")
    made = step.call(nn.PixelUnshuffle(block), step.x)
    order = torch.arange(made.side(1)).reshape(-1, block * block).t().flatten()
    return step.call(torch.index_select, made, 1, step.known([order] * len(step.runs)))
