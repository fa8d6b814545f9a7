"""Where images come from: folders, torchvision's datasets, a user's own."""

from functools import partial
from pathlib import Path
from typing import Any

import torchvision
from PIL import Image

from training import factories
from training.errors import BadInputError
from training.sources.folders import listed, refuse_splits, splits
from training.sources.pixels import Picture, picture
from training.sources.source import UNLABELLED, UNREADABLE, Source

_EXPECTED = "'digits', imagefolder:DIR (a folder a class), torchvision:NAME:DIR or package.module:factory"


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
    found = listed(folder)
    files = found.files or [(path, UNLABELLED) for path in found.loose]
    return Source(
        str(folder),
        found.classes,
        [path for path, _ in files],
        [partial(_open, path, label) for path, label in files],
        remarks=found.remarks,
        labels=[label for _, label in files],
    )


def _open(path: str, label: int, size: int) -> tuple[Picture, int]:
    try:
        with Image.open(path) as image:
            image.draft("RGB", (size, size))
            image.load()
    except Exception as error:  # a damaged file can raise anything
        raise OSError(f"{path} cannot be decoded") from error
    return picture(image, path), label


def source(spec: str) -> Source:
    """Images by what a user calls them, all for one purpose.

    Raises
    ------
    BadInputError
        There is no such source, it cannot be opened, or it holds images for several purposes.
    """
    folder = folder_of(spec)
    if folder is not None:
        parts = splits(folder)
        if parts is not None:
            raise BadInputError(
                f"{folder} holds {' and '.join(p.name for p in (parts.train, parts.val, parts.test) if p)}, "
                f"and `eval_data` asks for one folder to learn on and one that judges; give one of them, "
                f"as imagefolder:{parts.train}"
            )
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
    classes = tuple(map(str, getattr(dataset, "classes", ())))
    refuse_splits(classes, spec)
    names = [f"{spec} number {number}" for number in range(count)]
    samples = [partial(_item, dataset, number, name) for number, name in enumerate(names)]
    return Source(spec, classes, names, samples, threads=1)


def _torchvision(text: str) -> Any:
    name, _, root = text.partition(":")
    return getattr(torchvision.datasets, name)(str(Path(root).expanduser()))


def _item(dataset: Any, number: int, name: str, _size: int) -> tuple[Picture, int]:
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
    return picture(image, name), UNLABELLED if label is None else _class(label, name)


def _class(label: Any, name: str) -> int:
    try:
        number = int(label)
    except (TypeError, ValueError, RuntimeError) as error:  # RuntimeError: a tensor of several numbers
        raise BadInputError(f"{name} has the label {label!r}; expected a class number, from 0 on") from error
    if number < 0 and number != UNLABELLED:
        raise BadInputError(f"{name} has the class number {number}; expected one from 0 on")
    return number
