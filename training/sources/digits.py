"""Scikit-learn's handwritten digits, which need no files."""

from functools import partial

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import Tensor

from merges.sizes import sides
from training.errors import BadInputError
from training.images.augment import shifted
from training.images.image_list import ImageList
from training.images.pixels import COLOURS
from training.source import Habits, Source


class Digits(Source):
    name = form = "digits"
    channels = COLOURS
    complete = True
    habits = Habits(
        input_size=64, held_out=0.5, teacher_epochs=8, change=shifted, augment=False, relearn_steps=120
    )

    def open(self, spec: str) -> ImageList:
        if spec != self.name:
            raise BadInputError(f"unknown data {spec!r}; {self.name} are all there is of them")
        scans = load_digits()
        grey = torch.from_numpy(scans.images.astype(np.float32)) * (255 / 16)
        labels = scans.target.tolist()
        names = [f"digit {number}" for number in range(len(labels))]
        samples = [partial(_enlarged, scan, label) for scan, label in zip(grey, labels, strict=True)]
        return ImageList(spec, tuple(map(str, range(10))), names, samples, threads=1, labels=labels)


def _enlarged(scan: Tensor, label: int, size: int | tuple[int, int], channels: int) -> tuple[Tensor, int]:
    pixels = torch.nn.functional.interpolate(scan[None, None], size=list(sides(size)), mode="bilinear")
    return pixels[0].round().clamp(0, 255).to(torch.uint8).repeat(channels, 1, 1), label


SOURCE = Digits()
