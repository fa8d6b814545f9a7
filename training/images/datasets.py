"""PyTorch datasets: a length, and pairs of image and class number by index."""

from collections.abc import Callable
from functools import partial
from typing import Any

from torch import Tensor

from training.errors import BadInputError
from training.images.folders import refuse_splits
from training.images.image_list import UNLABELLED, UNREADABLE, ImageList
from training.images.pixels import fitted, picture


def images_of(spec: str, make: Callable[[], Any], expected: str) -> ImageList:
    """The images of the dataset that a function returns; `expected` says what else could be given.

    Raises
    ------
    BadInputError
        The function fails, returns no dataset, or one whose classes are splits.
    """
    try:
        dataset = make()
        count = len(dataset)
    except Exception as error:
        raise BadInputError(
            f"{spec} did not give a dataset ({type(error).__name__}: {error}); expected {expected}"
        ) from error
    classes = tuple(map(str, getattr(dataset, "classes", ())))
    refuse_splits(classes, spec)
    names = [f"{spec} number {number}" for number in range(count)]
    samples = [partial(_item, dataset, number, name) for number, name in enumerate(names)]
    return ImageList(spec, classes, names, samples, threads=1)


def _item(
    dataset: Any, number: int, name: str, size: int | tuple[int, int], channels: int
) -> tuple[Tensor, int]:
    try:
        item = dataset[number]
    except UNREADABLE:
        raise
    except Exception as error:
        raise BadInputError(
            f"{name} cannot be had ({type(error).__name__}: {error}); expected an image and its class number"
        ) from error
    pair = isinstance(item, (tuple, list)) and len(item) >= 2
    image, label = item[:2] if pair else (item, None)
    shown, number = picture(image, name), UNLABELLED if label is None else _class(label, name)
    return fitted(shown, size, channels), number


def _class(label: Any, name: str) -> int:
    try:
        number = int(label)
    except (TypeError, ValueError, RuntimeError) as error:  # RuntimeError: a tensor of several numbers
        raise BadInputError(f"{name} has the label {label!r}; expected a class number, from 0 on") from error
    if number < 0 and number != UNLABELLED:
        raise BadInputError(f"{name} has the class number {number}; expected one from 0 on")
    return number
