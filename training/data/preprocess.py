"""The preprocessing that a network expects."""

from dataclasses import dataclass, replace

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

    def of_channels(self, channels: int, network: str) -> "Preprocess":
        """The same preprocessing for images that are not RGB: every channel gets the average of the three.

        Raises
        ------
        BadInputError
            It reorders colour channels, which such images lack.
        """
        if channels == len(self.mean):
            return self
        if self.bgr:
            raise BadInputError(
                f"{network} takes images of {channels} channel(s), and the preprocessing 'caffe' is for 3; "
                "give `preprocess` imagenet"
            )
        mean, std = (round(sum(values) / len(values), 3) for values in (self.mean, self.std))
        return replace(self, mean=(mean,) * channels, std=(std,) * channels)


IMAGENET = Preprocess()
CAFFE = Preprocess(mean=(104.0, 117.0, 123.0), std=(1.0, 1.0, 1.0), scale=255.0, bgr=True)
SYMMETRIC = Preprocess(mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
BY_NAME = {
    "imagenet": IMAGENET,
    "caffe": CAFFE,
    "symmetric": SYMMETRIC,
    "symmetric-bgr": replace(SYMMETRIC, bgr=True),
}
