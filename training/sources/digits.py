"""Scikit-learn's scans of handwritten digits, which need no files."""

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import Tensor

from merges.sizes import sides


def digits(size: int | tuple[int, int], channels: int) -> tuple[Tensor, Tensor]:
    """All scans, enlarged to a size: bytes (n, channels, height, width), and class numbers (n,)."""
    scans = load_digits()
    grey = torch.from_numpy(scans.images.astype(np.float32)) * (255 / 16)
    pixels = torch.nn.functional.interpolate(grey[:, None], size=list(sides(size)), mode="bilinear")
    grown = pixels.round().clamp(0, 255).to(torch.uint8).repeat(1, channels, 1, 1)
    return grown, torch.from_numpy(scans.target).long()
