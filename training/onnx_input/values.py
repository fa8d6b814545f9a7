"""What flows between the nodes of an ONNX graph while it is read."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, fx


class RefusedError(Exception):
    """A node that cannot be read; the message is the reason alone, without file and node."""


SIZE_DEPENDENT = "its parameters depend on the size of the image"


@dataclass(eq=False)
class Value:
    """One tensor of the graph, in each of several sample runs.

    The runs differ in the sizes that the file leaves free (the batch always). What differs among the runs
    depends on those sizes; what does not is constant. Known values are real tensors (weights, and all
    arithmetic with shapes); the others have a shape and a type only, and a node that computes them.

    Attributes
    ----------
    samples : the tensor in each run
    node : computes it; None for a known value
    origins : the tensors whose shapes a known value was computed from
    row : the tensor whose numbers, in the same order, a reshaped one holds
    """

    name: str
    samples: tuple[Tensor, ...]
    node: fx.Node | None = None
    origins: tuple["Value", ...] = ()
    row: "Value | None" = None

    @property
    def known(self) -> bool:
        return self.node is None

    @property
    def constant(self) -> Tensor | None:
        """The one tensor that a known value is in all runs, if it is."""
        if not self.known:
            return None
        first = self.samples[0]
        return first if all(s is first or torch.equal(s, first) for s in self.samples) else None

    def of_each_image(self, images: Sequence[int]) -> Tensor | None:
        """What a known value holds for one image, if it holds the same for each of those of every run."""
        if self.rank == 0:
            return None
        first = self.samples[0][:1]
        alike = (
            sample.shape == (count, *first.shape[1:]) and bool((sample == first).all())
            for sample, count in zip(self.samples, images, strict=True)
        )
        return first if all(alike) else None

    @property
    def rank(self) -> int:
        return self.samples[0].ndim

    @property
    def dtype(self) -> torch.dtype:
        return self.samples[0].dtype

    @property
    def sides(self) -> list[tuple[int, ...]]:
        """Each side of the tensor in all runs."""
        return list(zip(*(tuple(s.shape) for s in self.samples), strict=True))

    def side(self, axis: int) -> int:
        """A side that is the same in all runs.

        Raises
        ------
        RefusedError
            It is not.
        """
        sides = self.sides[axis]
        if len(set(sides)) > 1:
            raise RefusedError(SIZE_DEPENDENT)
        return sides[0]


@dataclass(frozen=True)
class Size:
    """One integer that depends on a free size: what it is in each run, and the node that computes it."""

    samples: tuple[int, ...]
    node: fx.Node


def axis_of(axis: int, rank: int) -> int:
    """An axis that may count from the end, from the start.

    Raises
    ------
    RefusedError
        There is no such axis.
    """
    if not -rank <= axis < max(rank, 1):
        raise RefusedError(f"it has the axis {axis} of a tensor of {rank} dimensions")
    return axis % rank if rank else 0


def axes_of(axes: Sequence[int], rank: int) -> list[int]:
    """Several axes, from the start."""
    return [axis_of(int(axis), rank) for axis in axes]
