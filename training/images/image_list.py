"""Images that are read one by one."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from PIL import Image
from torch import Tensor

UNLABELLED = -1  # in the place of a class number
Sample = Callable[[int | tuple[int, int], int], tuple[Tensor, int]]
UNREADABLE = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)


@dataclass(frozen=True)
class ImageList:
    """Images that are read one by one.

    Attributes
    ----------
    spec : as the user calls them
    classes : names; empty where nobody says
    names, samples : of every image a name for people, and what reads it: given the size (a square's side, or
        height and width) and the channels that a network takes, bytes (channels, height, width) and the class
        number (or ``UNLABELLED``); raises one of ``UNREADABLE`` where it cannot be decoded
    threads : how many may be read at once; None leaves it to the machine
    remarks : what was left out, in sentences
    labels : class number of every image, where it is known before the image is read
    """

    spec: str
    classes: tuple[str, ...]
    names: Sequence[str]
    samples: Sequence[Sample]
    threads: int | None = None
    remarks: tuple[str, ...] = ()
    labels: Sequence[int] = ()

    def emptied(self, unreadable: Collection[int]) -> set[int]:
        """Classes that have no image but these, by number."""
        bad = set(unreadable)
        return set(self.labels) - {label for n, label in enumerate(self.labels) if n not in bad}
