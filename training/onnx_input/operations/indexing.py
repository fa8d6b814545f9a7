"""Parts of tensors, and tensors with a border."""

import operator

import torch
from torch.nn import functional

from training.onnx_input.operations.shapes import reshaped
from training.onnx_input.step import Step, operation
from training.onnx_input.values import SIZE_DEPENDENT, RefusedError, Size, Value, axes_of, axis_of

_FAR = 2**31 - 1  # exporters write this or more for "to the end"


@operation("Split")
def split(step: Step) -> list[Value]:
    x = step.x
    axis = axis_of(step.attr("axis", 0), x.rank)
    sizes = step.ints("split", 1)
    if sizes is None:
        side, count = x.side(axis), step.attr("num_outputs", step.outputs)
        each = -(-side // count)
        sizes = [min(each, side - each * i) for i in range(count)]
    return step.parts(len(sizes), torch.split, x, sizes, axis)


@operation("Slice")
def slices(step: Step) -> Value:
    made = step.x
    starts, ends = (_bounds(step, name, index) for name, index in (("starts", 1), ("ends", 2)))
    axes = axes_of(step.ints("axes", 3, list(range(len(starts)))) or [], made.rank)
    steps = step.ints("steps", 4, [1] * len(starts)) or []
    for axis, start, end, by in zip(axes, starts, ends, steps, strict=True):
        made = _slice(step, made, axis, start, end, by)
    return made


def _bounds(step: Step, name: str, index: int) -> list[int | Size]:
    if step.has(name):
        return list(step.attr(name))
    value = step.input(index)
    if not value.known:
        raise RefusedError(f"its {name} are computed from the image; they must be constant")
    columns = zip(*(s.flatten().tolist() for s in value.samples), strict=True)
    return [step.express(column, value.origins) for column in columns]


def _slice(step: Step, x: Value, axis: int, start: int | Size, end: int | Size, by: int) -> Value:
    if by < 0:
        if isinstance(start, Size) or isinstance(end, Size):
            raise RefusedError(SIZE_DEPENDENT)
        # Torch knows no negative steps: turn around, then count from the other end.
        x = step.call(torch.flip, x, [axis])
        start, end, by = _turned(x, axis, start), _turned(x, axis, end), -by
    last = None if isinstance(end, int) and end >= _FAR else end
    first = None if start == 0 else start
    if (first, last, by) == (None, None, 1):
        return x
    part = slice(first, last, by)
    return step.call(operator.getitem, x, (*[slice(None)] * axis, part))


def _turned(x: Value, axis: int, place: int) -> int:
    """A place counted from the other end, within the tensor."""
    if place < 0:
        # Before the first is behind the last.
        return -1 - place
    if place >= _FAR:
        return 0
    return max(0, x.side(axis) - 1 - place)


@operation("Gather")
def gather(step: Step) -> Value:
    x = step.x
    axis = axis_of(step.attr("axis", 0), x.rank)
    if x.rank == 1 and _all_in_order(step):
        places = step.input(1)
        return reshaped(step, x, [list(s.shape) for s in places.samples], places.origins)
    index = step.constant(1, "places")
    if index.min() < 0:
        index = torch.where(index < 0, index + x.side(axis), index)
    if index.ndim == 0:
        return step.call(torch.select, x, axis, int(index))
    flat = step.call(torch.index_select, x, axis, step.known([index.flatten()] * len(step.runs)))
    return flat if index.ndim == 1 else step.call(torch.unflatten, flat, axis, tuple(index.shape))


def _all_in_order(step: Step) -> bool:
    """Whether places are those of all numbers of a row, in their order.

    PyTorch's exporter writes views so (``as_strided``), as of the means of maps whose channels are last.
    """
    places, rows = step.input(1), step.x.samples
    return places.known and all(
        torch.equal(of.flatten(), torch.arange(step.own(len(row), run)))
        for run, (of, row) in enumerate(zip(places.samples, rows, strict=True))
    )


@operation("Pad")
def pad(step: Step) -> Value:
    x = step.x
    pads = step.ints("pads", 1) or []
    axes = axes_of(step.ints("axes", 3, list(range(len(pads) // 2))) or [], x.rank)
    sides = [(0, 0)] * x.rank
    for place, axis in enumerate(axes):
        sides[axis] = (pads[place], pads[place + len(axes)])
    mode = {"constant": "constant", "reflect": "reflect", "edge": "replicate", "wrap": "circular"}.get(
        step.attr("mode", "constant")
    )
    if mode is None:
        raise RefusedError(f"the mode {step.attr('mode')!r} is not supported")
    flat = [side for pair in reversed(sides) for side in pair]
    # Torch counts from the last axis; all but constant padding takes the axes of the image alone.
    keep = 2 * (x.rank - 2) if mode != "constant" else len(flat)
    if any(flat[keep:]):
        raise RefusedError(f"{mode} padding of images and channels is not supported")
    if not any(flat):
        return x
    if mode != "constant":
        return step.call(functional.pad, x, flat[:keep], mode=mode)
    while len(flat) > 2 and flat[-2:] == [0, 0]:
        flat = flat[:-2]
    fill = step.attr("value", 0.0) if step.given(2) is None else step.constant(2, "fills").item()
    return step.call(functional.pad, x, flat, value=fill)
