"""Augmentation of images."""

import torch
from torch import Tensor, nn
from torchvision.transforms.v2 import RandomResizedCrop

_LEAST_AREA = 0.35
_SHIFT = 1 / 16  # of the image's side


def changed(pixels: Tensor) -> Tensor:
    """A random crop of every photo, resized to the photo's size; half of them mirrored.

    Bytes (n, 3, height, width) -> the same; drawn from PyTorch's global generator.
    """
    crop = RandomResizedCrop(pixels.shape[2:], scale=(_LEAST_AREA, 1.0), antialias=True)
    parts = torch.stack([crop(image) for image in pixels])
    mirrored = torch.rand(len(parts)) < 0.5
    parts[mirrored] = parts[mirrored].flip(3)
    return parts


def shifted(pixels: Tensor) -> Tensor:
    """Every image shifted by a few random pixels (borders repeated), as suits digits.

    Bytes (n, 3, height, width) -> the same; drawn from PyTorch's global generator.
    """
    reach = round(pixels.shape[-1] * _SHIFT)
    padded = nn.functional.pad(pixels.float(), (reach,) * 4, mode="replicate").to(torch.uint8)
    offsets = torch.randint(0, 2 * reach + 1, (len(pixels), 2)).tolist()
    height, width = pixels.shape[2:]
    windows = zip(padded, offsets, strict=True)
    return torch.stack([p[:, top : top + height, left : left + width] for p, (top, left) in windows])
