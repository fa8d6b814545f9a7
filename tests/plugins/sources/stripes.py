"""Stripes, ``stripes:NUMBER`` of each of ten widths."""

from functools import partial

import numpy as np
from torch import Tensor

from training.images.image_list import ImageList
from training.images.pixels import fitted, picture
from training.source import Habits, Source


class Stripes(Source):
    name = "stripes"
    form = "stripes:NUMBER"
    habits = Habits(input_size=16, teacher_epochs=1, augment=False)

    def open(self, spec: str) -> ImageList:
        labels = [width for width in range(10) for _ in range(int(spec.partition(":")[2]))]
        names = [f"{number} of width {width}" for number, width in enumerate(labels)]
        samples = [partial(_drawn, *numbered) for numbered in enumerate(labels)]
        return ImageList(spec, tuple(f"width {n}" for n in range(10)), names, samples, labels=labels)


def _drawn(number: int, width: int, size: int | tuple[int, int], channels: int) -> tuple[Tensor, int]:
    noise = np.random.default_rng(number).integers(0, 64, (3, 32, 32), dtype=np.uint8)
    bright = (np.arange(32) // (width + 1) % 2 * 128).astype(np.uint8)
    return fitted(picture(np.moveaxis(noise + bright, 0, -1), "stripes"), size, channels), width


SOURCE = Stripes()
