"""Images that are read one by one."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from PIL import Image

from training.sources.pixels import Picture

UNLABELLED = -1  # in the place of a class number
Sample = Callable[[int], tuple[Picture, int]]
UNREADABLE = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)


@dataclass(frozen=True)
class Source:
    """Images that are read one by one.

    Attributes
    ----------
    spec : as the user calls it
    classes : names; empty where the source does not say
    names, samples : of every image a name for people, and what reads it with its class number (or
        ``UNLABELLED``), given how many pixels its sides need at least
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
