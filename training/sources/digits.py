"""Scikit-learn's handwritten digits, which need no files."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from training.errors import BadInputError
from training.sizes import COLOURS
from training.source import Habits, Source

if TYPE_CHECKING:
    from torch import Tensor

    from training.images.image_list import ImageList


def shifted(pixels: Tensor) -> Tensor:
    """Digits as augmented: see ``training.images.augment``."""
    from training.images import augment

    return augment.shifted(pixels)


class Digits(Source):
    name = form = "digits"
    channels = COLOURS
    complete = True
    habits = Habits(
        input_size=64,
        held_out=0.5,
        teacher_epochs=8,
        change=shifted,
        augment=False,
        relearn_steps=120,
        cropped=False,
    )

    def open(self, spec: str) -> ImageList:
        if spec != self.name:
            raise BadInputError(f"unknown data {spec!r}; {self.name} are all there is of them")
        import numpy as np
        import torch
        from sklearn.datasets import load_digits

        from training.images.image_list import ImageList

        scans = load_digits()
        grey = torch.from_numpy(scans.images.astype(np.float32)) * (255 / 16)
        labels = scans.target.tolist()
        names = [f"digit {number}" for number in range(len(labels))]
        samples = [partial(_enlarged, scan, label) for scan, label in zip(grey, labels, strict=True)]
        return ImageList(spec, tuple(map(str, range(10))), names, samples, threads=1, labels=labels)


def _enlarged(scan: Tensor, label: int, size: int | tuple[int, int], channels: int) -> tuple[Tensor, int]:
    import torch

    from merges.sizes import sides

    pixels = torch.nn.functional.interpolate(scan[None, None], size=list(sides(size)), mode="bilinear")
    return pixels[0].round().clamp(0, 255).to(torch.uint8).repeat(channels, 1, 1), label


SOURCE = Digits()
