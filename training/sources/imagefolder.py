"""Folders of images: one sub-folder per class, or images without labels; perhaps by split."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from training.errors import BadInputError
from training.sizes import COLOURS
from training.source import Parts, Source, absolute

if TYPE_CHECKING:
    from training.images.image_list import ImageList


class ImageFolder(Source):
    name = "imagefolder"
    form = "imagefolder:DIR (one folder per class)"
    channels = COLOURS

    def absolute(self, spec: str) -> str:
        where = spec.partition(":")[2]
        return f"{self.name}:{absolute(where)}" if where else spec

    def open(self, spec: str) -> ImageList:
        from training.images.folders import read_folder, splits

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
        from training.images.folders import read_folder, splits

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


SOURCE = ImageFolder()
