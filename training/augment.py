"""Photos changed at random, so that a few of them teach more."""

import torch
from torch import Tensor
from torchvision.transforms.v2 import RandomResizedCrop

_LEAST_AREA = 0.35


def changed(pixels: Tensor) -> Tensor:
    """A random part of every photo in the photo's own size, half of them mirrored.

    Bytes (n, 3, height, width) -> the same; drawn from PyTorch's global generator.
    """
    crop = RandomResizedCrop(pixels.shape[2:], scale=(_LEAST_AREA, 1.0), antialias=True)
    parts = torch.stack([crop(image) for image in pixels])
    mirrored = torch.rand(len(parts)) < 0.5
    parts[mirrored] = parts[mirrored].flip(3)
    return parts
