"""The preprocessing that a network expects."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from training.errors import BadInputError


@dataclass(frozen=True)
class Preprocess:
    """Applied to images of 0-255: reorder, scale, subtract the mean, divide by the deviation.

    `scale` is the value of white before the mean is subtracted; `mean` and `std` are in the
    order of the network's channels.
    """

    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    std: tuple[float, ...] = (0.229, 0.224, 0.225)
    scale: float = 1.0
    bgr: bool = False

    def __call__(self, images: Tensor) -> Tensor:
        """(batch, channels, height, width) bytes -> the same shape in float32."""
        values = images.flip(1) if self.bgr else images
        mean = torch.tensor(self.mean, device=images.device).reshape(1, -1, 1, 1)
        std = torch.tensor(self.std, device=images.device).reshape(1, -1, 1, 1)
        return (values.float() * (self.scale / 255) - mean) / std

    def __str__(self) -> str:
        """As `named` reads it, rounded."""
        parts = [",".join(f"{v / self.scale:.4g}" for v in values) for values in (self.mean, self.std)]
        return "/".join([*parts, "bgr"] if self.bgr else parts)

    def steps(self) -> dict[str, Any]:
        """What to do to an image of 0-255 as plain data: the order of its colours, mean and deviation.

        Both are by the network's channels, for values of 0-255 as they are: (value - mean) / std.
        """
        mean, std = (
            [float(f"{255 / self.scale * v:.6g}") for v in values] for values in (self.mean, self.std)
        )
        colours = {_COLOURS: "BGR" if self.bgr else "RGB", 1: "grey"}
        return {"channels": colours.get(len(mean), f"{len(mean)} channels"), "mean": mean, "std": std}

    @classmethod
    def of_steps(cls, steps: Mapping[str, Any]) -> "Preprocess":
        """What `steps` told.

        Raises
        ------
        ValueError, LookupError, TypeError
            They are no such steps.
        """
        mean, std = (tuple(value / 255 for value in steps[name]) for name in ("mean", "std"))
        if not possible(mean, std):
            raise ValueError("no mean and deviation of the channels of images")
        return cls(mean, std, bgr=steps["channels"] == "BGR")

    def of_channels(self, channels: int, network: str) -> "Preprocess":
        """The same preprocessing for images of other than three channels: every channel gets their average.

        Raises
        ------
        BadInputError
            It is for as many channels as there are not, or reorders colours, which such images lack.
        """
        own, reorders = len(self.mean), self.bgr and channels != _COLOURS
        if channels == own and not reorders:
            return self
        if reorders or own not in (1, _COLOURS):
            called = next((name for name, known in BY_NAME.items() if known == self), str(self))
            raise BadInputError(
                f"{network} takes images of {channels} channel(s), and the preprocessing {called!r} is for "
                f"{_COLOURS if reorders else own}; give another `preprocess`, as imagenet"
            )
        mean, std = (v[0] if own == 1 else round(sum(v) / own, 3) for v in (self.mean, self.std))
        return replace(self, mean=(mean,) * channels, std=(std,) * channels)


_COLOURS = 3
IMAGENET = Preprocess()
CAFFE = Preprocess(mean=(104.0, 117.0, 123.0), std=(1.0, 1.0, 1.0), scale=255.0, bgr=True)
SYMMETRIC = Preprocess(mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
BY_NAME = {
    "imagenet": IMAGENET,
    "caffe": CAFFE,
    "symmetric": SYMMETRIC,
    "symmetric-bgr": replace(SYMMETRIC, bgr=True),
}
FORMS = (
    f"{', '.join(BY_NAME)}, or mean and deviation of RGB images of 0-1, as 0.5/0.5 or "
    f"0.485,0.456,0.406/0.229,0.224,0.225 (BGR with /bgr behind)"
)


def named(text: str) -> Preprocess:
    """A preprocessing by its name, or by its numbers: one for all channels, or one each.

    Raises
    ------
    BadInputError
        It is neither.
    """
    if text in BY_NAME:
        return BY_NAME[text]
    mean, *others = text.removesuffix("/bgr").split("/")
    try:
        (std,) = others
        means, deviations = (tuple(map(float, numbers.split(","))) for numbers in (mean, std))
        if possible(means, deviations):
            return Preprocess(means, deviations, bgr=text.endswith("/bgr"))
    except ValueError:
        pass
    raise BadInputError(f"unknown `preprocess` {text!r}; expected {FORMS}")


def possible(mean: Sequence[float], std: Sequence[float]) -> bool:
    """Whether these can be the means and deviations of the channels of images."""
    pairs = len(mean) == len(std) > 0
    return pairs and all(map(math.isfinite, mean)) and all(0 < value < math.inf for value in std)
