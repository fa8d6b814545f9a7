"""Kernels, strides and paddings of convolutions and poolings."""

import math
from dataclasses import dataclass

from torch.nn import functional

from training.onnx_input.step import Step
from training.onnx_input.values import SIZE_DEPENDENT, RefusedError, Value


@dataclass(frozen=True)
class Window:
    """A window that moves over an image; one number a spatial axis."""

    kernel: list[int]
    strides: list[int]
    dilations: list[int]
    before: list[int]
    after: list[int]

    @property
    def symmetric(self) -> bool:
        return self.before == self.after


def window(step: Step, kernel: list[int], auto: bool = True) -> Window:
    """The window of a node.

    Parameters
    ----------
    auto : whether to work out paddings that the file leaves to the size of the image

    Raises
    ------
    RefusedError
        The attributes do not fit the image.
    """
    rank = len(kernel)
    strides = step.attr("strides", [1] * rank)
    dilations = step.attr("dilations", [1] * rank)
    pads = step.attr("pads", [0] * 2 * rank)
    if not len(strides) == len(dilations) == rank == len(pads) // 2 == step.x.rank - 2:
        raise RefusedError(f"its attributes are not for an image of {step.x.rank} dimensions")
    before, after = list(pads[:rank]), list(pads[rank:])
    policy = step.attr("auto_pad", "NOTSET")
    if auto and policy.startswith("SAME"):
        total = [
            _same(step.x.sides[axis + 2], (kernel[axis] - 1) * dilations[axis] + 1, strides[axis])
            for axis in range(rank)
        ]
        small, large = [t // 2 for t in total], [t - t // 2 for t in total]
        before, after = (small, large) if policy == "SAME_UPPER" else (large, small)
    elif policy == "VALID":
        before = after = [0] * rank
    return Window(list(kernel), list(strides), list(dilations), before, after)


def _same(sides: tuple[int, ...], reach: int, stride: int) -> int:
    """The padding that gives one output every `stride` inputs."""
    totals = {max((math.ceil(side / stride) - 1) * stride + reach - side, 0) for side in sides}
    # With a stride it differs at sizes that none of the runs has.
    if len(totals) > 1 or (stride > 1 and len(set(sides)) > 1):
        raise RefusedError(SIZE_DEPENDENT)
    return totals.pop()


def padded(step: Step, x: Value, shape: Window, value: float = 0.0) -> tuple[Value, tuple[int, ...]]:
    """An image and the padding that its layer still has to do: the same before and behind, or none."""
    if shape.symmetric:
        return x, tuple(shape.before)
    pairs = reversed(list(zip(shape.before, shape.after, strict=True)))
    sides = [side for pair in pairs for side in pair]
    return step.call(functional.pad, x, sides, value=value), (0,) * len(shape.kernel)
