"""The user's own dataset, by the name of a function that makes it."""

from functools import partial

from training import factories
from training.images.datasets import images_of
from training.images.image_list import ImageList
from training.source import Source, forms


class Factory(Source):
    name = ""
    form = "package.module:factory of a dataset"
    runs_code = True

    def open(self, spec: str) -> ImageList:
        return images_of(spec, partial(factories.made, spec), forms())


SOURCE = Factory()
