"""Functions of canonical graphs that PyTorch has under no single name. Sizes that are not given stay free."""

from collections.abc import Sequence

from torch import Tensor


def cut(x: Tensor, dim: int, start: int, stop: int | None, step: int = 1) -> Tensor:
    """Every `step`-th slice of `x` along `dim`, from `start` up to `stop` (None: to the end)."""
    return x[(*(slice(None),) * dim, slice(start, stop, step))]


def expand(x: Tensor, sizes: Sequence[int]) -> Tensor:
    """`x` repeated along dimensions of size one; -1 keeps a dimension."""
    return x.expand(*sizes)


def for_each_image(constant: Tensor, images: Tensor) -> Tensor:
    """A constant of shape (1, ...), once for each image of the batch."""
    return constant.expand(images.shape[0], *constant.shape[1:])
