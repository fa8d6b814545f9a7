"""Lists of images that are read one by one."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from PIL import Image
from torch import Tensor

UNLABELLED = -1  # in the place of a class number
Sample = Callable[[int | tuple[int, int], int], tuple[Tensor, int]]
UNREADABLE = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)


@dataclass(frozen=True)
class ImageList:
    """Lists of images that are read one by one.

    Attributes
    ----------
    spec : the user's name for them
    classes : names; empty if unknown
    names, samples : of every image a name for people, and what reads it: given the size (a square's side, or
        height and width) and the channels that a network takes, bytes (channels, height, width) and the class
        number (or ``UNLABELLED``); raises one of ``UNREADABLE`` where it cannot be decoded
    threads : how many to read in parallel; None: as many as the machine allows
    remarks : what was left out, as sentences
    labels : class number of every image, if known before it is read
    """

    spec: str
    classes: tuple[str, ...]
    names: Sequence[str]
    samples: Sequence[Sample]
    threads: int | None = None
    remarks: tuple[str, ...] = ()
    labels: Sequence[int] = ()

    def emptied(self, unreadable: Collection[int]) -> set[int]:
        """The classes, by number, that have no other image than these."""
        bad = set(unreadable)
        return set(self.labels) - {label for n, label in enumerate(self.labels) if n not in bad}
