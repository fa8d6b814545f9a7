"""What a network expects of its images."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Preprocess:
    """Applied to RGB images of 0-255: reorder, scale, subtract the mean, divide by the deviation.

    `scale` is the value that white has before the mean is subtracted; `mean` and `std` are in the
    order of the channels that the network sees.
    """

    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    scale: float = 1.0
    bgr: bool = False

    def __call__(self, images: Tensor) -> Tensor:
        """(batch, 3, height, width) bytes -> the same shape in float32."""
        values = images.flip(1) if self.bgr else images
        mean = torch.tensor(self.mean, device=images.device).reshape(1, 3, 1, 1)
        std = torch.tensor(self.std, device=images.device).reshape(1, 3, 1, 1)
        return (values.float() * (self.scale / 255) - mean) / std


IMAGENET = Preprocess()
CAFFE = Preprocess(mean=(104.0, 117.0, 123.0), std=(1.0, 1.0, 1.0), scale=255.0, bgr=True)
BY_NAME = {"imagenet": IMAGENET, "caffe": CAFFE}
