"""Folders of images: which files are images, which sub-folders classes, and which splits."""

import os
from collections import Counter
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from PIL import Image
from torch import Tensor
from torchvision.datasets.folder import IMG_EXTENSIONS

from training.errors import BadInputError
from training.images.image_list import UNLABELLED, ImageList
from training.images.pixels import fitted, needed, picture

_HIDDEN = ("__MACOSX", "__pycache__")
_ROLES = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation"),
    "test": ("test", "testing"),
}
_READ = ", ".join(IMG_EXTENSIONS)


@dataclass(frozen=True)
class Listing:
    """Images by class, or loose images without any class.

    `remarks` are sentences on what was left out.
    """

    classes: tuple[str, ...]
    files: tuple[tuple[str, int], ...]
    loose: tuple[str, ...]
    remarks: tuple[str, ...]


@dataclass(frozen=True)
class Splits:
    """Folders for training, judging plans and the final accuracy; at least one of the last two."""

    train: Path
    val: Path | None
    test: Path | None
    remarks: tuple[str, ...]


def listed(folder: Path) -> Listing:
    """List a folder: sub-folders of images (classes), or images only.

    Hidden files and folders are ignored. A sub-folder without images is not a class, and is named.

    Raises
    ------
    BadInputError
        The folder cannot be read, or has no readable image.
    """
    files = {path.name: _files(path) for path in _folders(folder)}
    loose = [str(path) for path in _visible(folder) if path.is_file() and _is_image(path.name)]
    images = {name: [f for f in found if _is_image(f)] for name, found in files.items()}
    classes = tuple(name for name, found in images.items() if found)
    empty = [f"{name} {_instead(files[name])}" for name in images if name not in classes]
    remarks = [f"no class of {folder}: {what}" for what in empty]
    if loose and not classes:
        return Listing((), (), tuple(loose), (*remarks, *_passed_over(_files(folder))))
    if not classes:
        why = f" ({'; '.join(empty)})" if empty else ""
        raise BadInputError(
            f"{folder} holds no images{why}; expected one sub-folder of images per class ({_READ})"
        )
    if loose:
        remarks.append(
            f"{len(loose)} image(s) directly in {folder} left out: they are in no class's sub-folder"
        )
    remarks += _passed_over([f for name in classes for f in files[name]])
    labelled = tuple((f, number) for number, name in enumerate(classes) for f in images[name])
    return Listing(classes, labelled, (), tuple(remarks))


def splits(folder: Path) -> Splits | None:
    """The splits that sub-folders name; None if they are classes (one of which may be called train).

    Raises
    ------
    BadInputError
        Sub-folders name splits, but not exactly one for each purpose.
    """
    below = _folders(folder)
    found = {role: [p for p in below if p.name.lower() in names] for role, names in _ROLES.items()}
    named = [path.name for paths in found.values() for path in paths]
    if not named or (len(named) == 1 and len(below) > 1):
        return None
    for role, paths in found.items():
        if len(paths) > 1:
            both = " and ".join(path.name for path in paths)
            raise BadInputError(
                f"{folder} holds {both}, and either may be the {role} images; rename or remove one of them"
            )
    if len(named) == 1:
        raise BadInputError(
            f"{folder} holds {named[0]} alone; give imagefolder:{folder / named[0]}, or put the images "
            "that judge beside it, in 'val' or 'test'"
        )
    if not found["train"]:
        raise BadInputError(
            f"{folder} holds {' and '.join(named)} but no train; rename the folder of the images to learn "
            f"on to 'train', or give one of them, as imagefolder:{folder / named[0]}"
        )
    others = [path.name for path in below if path.name not in named]
    remarks = [f"left out of {folder}, beside {' and '.join(named)}: {', '.join(others)}"] if others else []
    val, test = (next(iter(found[role]), None) for role in ("val", "test"))
    return Splits(found["train"][0], val, test, tuple(remarks))


def refuse_splits(classes: tuple[str, ...], spec: str) -> None:
    """Refuse classes that are splits.

    Raises
    ------
    BadInputError
        They are called train and val, or train and test.
    """
    lowered = [name.lower() for name in classes]
    train = [name for name in lowered if name in _ROLES["train"]]
    judges = [name for name in lowered if name in (*_ROLES["val"], *_ROLES["test"])]
    if train and judges:
        raise BadInputError(
            f"the classes of {spec} are {train[0]} and {judges[0]}, which are splits of a data set; give "
            "imagefolder:DIR, where DIR holds both, or one of them"
        )


def _visible(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if not _hidden(path.name))
    except OSError as error:
        raise BadInputError(
            f"{folder} cannot be read ({error.strerror}); expected one sub-folder of images per class"
        ) from error


def _folders(folder: Path) -> list[Path]:
    return [path for path in _visible(folder) if path.is_dir()]


def _hidden(name: str) -> bool:
    return name.startswith(".") or name in _HIDDEN


def _is_image(name: str) -> bool:
    return name.lower().endswith(IMG_EXTENSIONS)


def _files(folder: Path) -> list[str]:
    """All files below a folder, in a fixed order."""
    found: list[tuple[str, list[str]]] = []
    for root, below, names in os.walk(folder, followlinks=True):
        below[:] = [name for name in below if not _hidden(name)]
        found.append((root, sorted(name for name in names if not _hidden(name))))
    return [os.path.join(root, name) for root, names in sorted(found) for name in names]  # noqa: PTH118


def _instead(files: list[str]) -> str:
    """Says what a sub-folder without images holds."""
    if not files:
        return "is empty"
    kinds = Counter(Path(file).suffix.lower() or "no ending" for file in files)
    return f"holds no image that is read, but {', '.join(f'{n} {kind}' for kind, n in kinds.items())}"


def _passed_over(files: list[str]) -> list[str]:
    """A remark on images of unsupported formats; other files need none."""
    pictures = {*Image.registered_extensions(), ".heic", ".heif", ".jxl"} - set(IMG_EXTENSIONS)
    passed = [file for file in files if Path(file).suffix.lower() in pictures]
    if not passed:
        return []
    kinds = ", ".join(sorted({Path(file).suffix.lower() for file in passed}))
    return [f"{len(passed)} image(s) of kinds that are not read ({kinds}) left out, such as {passed[0]}"]


def read_folder(folder: Path) -> ImageList:
    """List a folder with one sub-folder per class, or with unlabelled images and no sub-folders."""
    found = listed(folder)
    files = found.files or [(path, UNLABELLED) for path in found.loose]
    return ImageList(
        str(folder),
        found.classes,
        [path for path, _ in files],
        [partial(_read, path, label) for path, label in files],
        remarks=found.remarks,
        labels=[label for _, label in files],
    )


def _read(path: str, label: int, size: int | tuple[int, int], channels: int) -> tuple[Tensor, int]:
    least = max(needed(size))
    try:
        with Image.open(path) as image:
            image.draft("RGB", (least, least))
            image.load()
    except Exception as error:  # a damaged file can raise anything
        raise OSError(f"{path} cannot be decoded") from error
    return fitted(picture(image, path), size, channels), label
