"""Sources of images, and their discovery in ``training/sources``."""

from __future__ import annotations

import importlib
import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from training.config import ModelConfig, is_onnx
from training.errors import BadInputError

if TYPE_CHECKING:  # help lists the sources, and shall not wait for torch
    from torch import Tensor

    from training.images.image_list import ImageList


def changed(pixels: Tensor) -> Tensor:
    """Photos as augmented: see ``training.images.augment``."""
    from training.images import augment

    return augment.changed(pixels)


@dataclass(frozen=True)
class Habits:
    """Defaults for the images of a source.

    Attributes
    ----------
    input_size : side of the images; None: the network's own
    held_out : share of the images held out: half judges plans, half gives the final accuracy
    teacher_epochs : passes over the images to train a teacher without weights
    change : augmentation for the teacher, bytes to bytes of the same shape
    augment : whether merged networks are trained on random crops, half of them mirrored
    relearn_steps : steps per block, from bottom to top, before the whole network is trained
    cropped : whether the middle of images that are resized to slightly more than that size is taken
    """

    input_size: int | None = None
    held_out: float = 0.3
    teacher_epochs: int = 20
    change: Callable[[Tensor], Tensor] = changed
    augment: bool = True
    relearn_steps: int = 1500
    cropped: bool = True


@dataclass(frozen=True)
class Parts:
    """Images for training, judging plans and the final accuracy; at least one of the last two."""

    train: ImageList
    val: ImageList | None
    test: ImageList | None
    remarks: tuple[str, ...] = ()


class Source(ABC):
    """A kind of source of images.

    Attributes
    ----------
    name : what ``--data`` begins with, up to a colon; empty for the source of all other names with a colon
    form : how to write ``--data``
    channels : numbers of channels that its images can have; None: any
    runs_code : whether opening it runs code that `spec` names
    complete : whether its labels and splits cannot be replaced (``--labels``, ``--eval-data``)
    """

    name: str
    form: str
    channels: tuple[int, ...] | None = None
    complete: bool = False
    runs_code: bool = False
    habits: Habits = Habits()

    def absolute(self, spec: str) -> str:
        """`spec` with every path made absolute, so that it holds from any folder."""
        return spec

    @abstractmethod
    def open(self, spec: str) -> ImageList:
        """All images, for one purpose; `spec` is the user's ``--data``.

        Raises
        ------
        BadInputError
            They cannot be read, or are for several purposes.
        """

    def parts(self, spec: str) -> Parts | None:
        """The images by purpose, if the source says so; else None.

        Raises
        ------
        BadInputError
            They cannot be read.
        """
        return None


@cache
def discover() -> dict[str, Source]:
    """All sources by name, in the order of the help."""
    package = importlib.import_module(".sources", __package__)
    names = [module.name for module in pkgutil.iter_modules(package.__path__)]
    found = [importlib.import_module(f"{package.__name__}.{name}").SOURCE for name in names]
    return {source.name: source for source in sorted(found, key=lambda one: (not one.name, one.name))}


def named(spec: str) -> Source:
    """The source that a user's ``--data`` names.

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
    """The habits of the source that `spec` begins with, or the usual ones."""
    kind = spec.partition(":")[0]
    return discover()[kind].habits if kind in discover() else Habits()


def from_anywhere(setup: ModelConfig) -> ModelConfig:
    """The same settings with absolute paths: plans, studies and runs are read from other folders too."""
    changed: dict[str, str] = {}
    for field in ("model", "weights", "labels", "classes"):
        value = getattr(setup, field)
        if value and (field != "model" or is_onnx(value)):
            changed[field] = absolute(value)
    for field in ("data", "eval_data"):
        value = getattr(setup, field)
        source = discover().get((value or "").partition(":")[0])
        if source:
            changed[field] = source.absolute(value)
    return setup.model_copy(update=changed)


def absolute(path: str) -> str:
    """An absolute path; links are kept."""
    return str(Path(path).expanduser().absolute())


def forms() -> str:
    """How to write ``--data``."""
    *most, last = (source.form for source in discover().values())
    return f"{', '.join(most)}, or {last}"


def unusual(habit: str) -> dict[str, Any]:
    """The sources with an unusual habit, and what it is."""
    found = {source.name: getattr(source.habits, habit) for source in discover().values()}
    return {name: value for name, value in found.items() if value != getattr(Habits(), habit)}
