"""The user's own dataset, by the name of a function that makes it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from training import factories
from training.source import Source, forms

if TYPE_CHECKING:
    from training.images.image_list import ImageList


class Factory(Source):
    name = ""
    form = "package.module:factory of a dataset"
    runs_code = True

    def open(self, spec: str) -> ImageList:
        from training.images.datasets import images_of

        return images_of(spec, partial(factories.made, spec), forms())


SOURCE = Factory()
