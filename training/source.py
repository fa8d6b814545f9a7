"""What a source of images is, and the discovery of the sources in ``training/sources``."""

import importlib
import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

from torch import Tensor

from training.errors import BadInputError
from training.images.augment import changed
from training.images.image_list import ImageList


@dataclass(frozen=True)
class Habits:
    """What is done with images of a source where the user does not say.

    Attributes
    ----------
    input_size : side of the images; None: what the network takes
    held_out : share of the images that is not learned on; half of it judges plans, half has the final word
    teacher_epochs : passes over the images of a teacher that has no weights
    change : makes new images of them, bytes of the same shape, for a teacher
    augment : whether a merged network is trained on random parts of the images, half of them mirrored
    relearn_steps : steps a block, from bottom to top, before the whole network is trained
    """

    input_size: int | None = None
    held_out: float = 0.3
    teacher_epochs: int = 20
    change: Callable[[Tensor], Tensor] = changed
    augment: bool = True
    relearn_steps: int = 1500


@dataclass(frozen=True)
class Parts:
    """Images to learn on, to judge plans and for the final word; at least one of the last two is there."""

    train: ImageList
    val: ImageList | None
    test: ImageList | None
    remarks: tuple[str, ...] = ()


class Source(ABC):
    """One kind of place that images come from.

    Attributes
    ----------
    name : what ``--data`` begins with, up to a colon; empty for the source of all other names with a colon
    form : how ``--data`` is written, for people
    channels : those that its images can be given with; None: others too
    complete : whether it has labels and splits that take no others (``--labels``, ``--eval-data``)
    """

    name: str
    form: str
    channels: tuple[int, ...] | None = None
    complete: bool = False
    habits: Habits = Habits()

    @abstractmethod
    def open(self, spec: str) -> ImageList:
        """All images, for one purpose; `spec` is what the user said.

        Raises
        ------
        BadInputError
            They cannot be had, or are for several purposes.
        """

    def parts(self, spec: str) -> Parts | None:
        """The images where the source itself says which are for what; None where it does not.

        Raises
        ------
        BadInputError
            They cannot be had.
        """
        return None


@cache
def discover() -> dict[str, Source]:
    """All sources by name, in the order in which they are told."""
    package = importlib.import_module(".sources", __package__)
    names = [module.name for module in pkgutil.iter_modules(package.__path__)]
    found = [importlib.import_module(f"{package.__name__}.{name}").SOURCE for name in names]
    return {source.name: source for source in sorted(found, key=lambda one: (not one.name, one.name))}


def named(spec: str) -> Source:
    """The source of what a user calls images.

    Raises
    ------
    BadInputError
        There is none.
    """
    kind, colon, _ = spec.partition(":")
    found = discover().get(kind) or (discover().get("") if colon else None)
    if found is None:
        raise BadInputError(f"unknown data {spec!r}; expected {forms()}")
    return found


def habits_of(spec: str) -> Habits:
    """The habits of the source that `spec` begins with; the usual ones where there is none."""
    kind = spec.partition(":")[0]
    return discover()[kind].habits if kind in discover() else Habits()


def forms() -> str:
    """How ``--data`` is written, for people."""
    *most, last = (source.form for source in discover().values())
    return f"{', '.join(most)}, or {last}"


def unusual(habit: str) -> dict[str, Any]:
    """By name the sources that have another habit than most, and which."""
    found = {source.name: getattr(source.habits, habit) for source in discover().values()}
    return {name: value for name, value in found.items() if value != getattr(Habits(), habit)}
