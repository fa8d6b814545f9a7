"""Folders of images: one sub-folder per class, or images without labels; perhaps by split."""

from functools import partial
from pathlib import Path

from PIL import Image
from torch import Tensor

from training.errors import BadInputError
from training.images.folders import listed, splits
from training.images.image_list import UNLABELLED, ImageList
from training.images.pixels import COLOURS, fitted, needed, picture
from training.source import Parts, Source


class ImageFolder(Source):
    name = "imagefolder"
    form = "imagefolder:DIR (one folder per class)"
    channels = COLOURS

    def open(self, spec: str) -> ImageList:
        folder = _folder(spec)
        found = splits(folder)
        if found is not None:
            raise BadInputError(
                f"{folder} holds {' and '.join(p.name for p in (found.train, found.val, found.test) if p)}, "
                f"and `eval_data` asks for one folder to learn on and one that judges; give one of them, "
                f"as imagefolder:{found.train}"
            )
        return read_folder(folder)

    def parts(self, spec: str) -> Parts | None:
        found = splits(_folder(spec))
        if found is None:
            return None
        val, test = (read_folder(folder) if folder else None for folder in (found.val, found.test))
        return Parts(read_folder(found.train), val, test, found.remarks)


def _folder(spec: str) -> Path:
    where = spec.partition(":")[2]
    folder = Path(where).expanduser()
    if not where or not folder.is_dir():
        raise BadInputError(
            f"{folder} is no folder; expected a folder with one sub-folder of images per class"
        )
    return folder


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


SOURCE = ImageFolder()
