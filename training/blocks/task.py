"""A block's learning task and recipe."""

from dataclasses import asdict, dataclass

import torch
from torch import Tensor, fx

from training.files import digest


@dataclass(frozen=True)
class Recipe:
    """How a block is learned. `images` counts those that are looked at, each in so many `views` (itself, and
    itself changed at random), and `batch` those of a step.

    With `half`, products are taken in bfloat16 (1500 steps of GoogLeNet's 4a at 224 pixels: 26 s against 37).
    """

    images: int = 256
    views: int = 1
    steps: int = 60
    batch: int = 8
    rate: float = 0.05
    samples_per_weight: int = 16
    seed: int = 0
    half: bool = False

    @property
    def kept_as(self) -> torch.dtype:
        """The type in which maps are kept in memory."""
        return torch.bfloat16 if self.half else torch.float32

    @property
    def digest(self) -> str:
        """Identifies the recipe in file names."""
        return digest(asdict(self))


@dataclass(frozen=True)
class BlockTask:
    """The learning task of a block.

    Attributes
    ----------
    inputs : inputs of the block (n, channels, height, width)
    teacher_inputs : inputs of the teacher's block for the same images
    targets : outputs of the teacher's block
    teacher : the teacher's block
    """

    inputs: Tensor
    teacher_inputs: Tensor
    targets: Tensor
    teacher: fx.GraphModule
