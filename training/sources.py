"""Where images come from: folders, torchvision's datasets, a user's own."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torchvision
from PIL import Image
from torchvision.datasets.folder import IMG_EXTENSIONS, ImageFolder
from torchvision.transforms import functional as transforms

from training import factories
from training.errors import BadInputError
from training.images import UNLABELLED

_EXPECTED = "'digits', imagefolder:DIR (a folder a class), torchvision:NAME:DIR or package.module:factory"
Sample = Callable[[int], tuple[Image.Image, int]]


@dataclass(frozen=True)
class Source:
    """Images that are read one by one.

    Attributes
    ----------
    classes : names; empty where the source does not say
    names, samples : of every image a name for people, and what reads it with its class number (or
        ``UNLABELLED``), given how many pixels its sides need at least
    threads : how many may be read at once; None leaves it to the machine
    """

    classes: tuple[str, ...]
    names: Sequence[str]
    samples: Sequence[Sample]
    threads: int | None = None


def folder_of(spec: str) -> Path | None:
    """The folder of ``imagefolder:DIR``; None for other sources.

    Raises
    ------
    BadInputError
        There is no such folder.
    """
    kind, _, where = spec.partition(":")
    if kind != "imagefolder":
        return None
    folder = Path(where).expanduser()
    if not where or not folder.is_dir():
        raise BadInputError(f"{folder} is no folder; expected a folder with one sub-folder of images a class")
    return folder


def read_folder(folder: Path) -> Source:
    """Images in one sub-folder a class, or images without labels in a folder that has no sub-folders.

    Raises
    ------
    BadInputError
        The folder holds neither.
    """
    try:
        inside = sorted(folder.iterdir())
        loose = [str(path) for path in inside if path.suffix.lower() in IMG_EXTENSIONS]
        if loose and not any(path.is_dir() for path in inside):
            return Source((), loose, [partial(_open, path, UNLABELLED) for path in loose])
        listing = ImageFolder(str(folder), allow_empty=True)
    except OSError as error:
        raise BadInputError(f"{folder} holds no images; expected one sub-folder of images a class") from error
    samples = [partial(_open, path, label) for path, label in listing.samples]
    return Source(tuple(listing.classes), [path for path, _ in listing.samples], samples)


def _open(path: str, label: int, size: int) -> tuple[Image.Image, int]:
    with Image.open(path) as image:
        image.draft("RGB", (size, size))
        return image.convert("RGB"), label


def source(spec: str) -> Source:
    """Images by what a user calls them.

    Raises
    ------
    BadInputError
        There is no such source, or it cannot be opened.
    """
    folder = folder_of(spec)
    if folder is not None:
        return read_folder(folder)
    where, _, attribute = spec.partition(":")
    if not attribute:
        raise BadInputError(f"unknown data {spec!r}; expected {_EXPECTED}")
    try:
        dataset = _torchvision(attribute) if where == "torchvision" else factories.made(spec)
        count = len(dataset)
    except Exception as error:
        raise BadInputError(
            f"{spec} did not give a dataset ({type(error).__name__}: {error}); expected {_EXPECTED}"
        ) from error
    names = [f"{spec} number {number}" for number in range(count)]
    samples = [partial(_item, dataset, number) for number in range(count)]
    return Source(tuple(map(str, getattr(dataset, "classes", ()))), names, samples, threads=1)


def _torchvision(text: str) -> Any:
    name, _, root = text.partition(":")
    return getattr(torchvision.datasets, name)(str(Path(root).expanduser()))


def _item(dataset: Any, number: int, _size: int) -> tuple[Image.Image, int]:
    item = dataset[number]
    image, label = item if isinstance(item, tuple) else (item, None)
    picture = image if isinstance(image, Image.Image) else transforms.to_pil_image(image)
    return picture.convert("RGB"), UNLABELLED if label is None else int(label)
