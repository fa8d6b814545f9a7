"""The datasets of torchvision, by name and folder; nothing is downloaded."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from training.source import Source, absolute, forms

if TYPE_CHECKING:
    from training.images.image_list import ImageList


class Torchvision(Source):
    name = "torchvision"
    form = "torchvision:NAME:DIR"

    def absolute(self, spec: str) -> str:
        _, name, root = (*spec.split(":", 2), "")[:3]
        return f"{self.name}:{name}:{absolute(root)}" if root else spec

    def open(self, spec: str) -> ImageList:
        from torchvision import datasets

        from training.images.datasets import images_of

        _, name, root = (*spec.split(":", 2), "")[:3]

        def made() -> Any:
            return getattr(datasets, name)(str(Path(root).expanduser()))

        return images_of(spec, made, forms())


SOURCE = Torchvision()
