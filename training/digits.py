"""Scikit-learn's scans of handwritten digits, which need no files."""

import numpy as np
import torch
from sklearn.datasets import load_digits

from merges.geometry import sides
from training.images import Images


def digits(size: int | tuple[int, int], channels: int) -> Images:
    """All scans, enlarged to a size."""
    scans = load_digits()
    grey = torch.from_numpy(scans.images.astype(np.float32)) * (255 / 16)
    pixels = torch.nn.functional.interpolate(grey[:, None], size=list(sides(size)), mode="bilinear")
    return Images(
        pixels.round().clamp(0, 255).to(torch.uint8).repeat(1, channels, 1, 1),
        torch.from_numpy(scans.target).long(),
    )
