"""What a rebuilt block shall learn, and how."""

from dataclasses import dataclass

from torch import Tensor, fx


@dataclass(frozen=True)
class Recipe:
    """How a block is learned. `images` counts those that are looked at, `batch` those of a step."""

    images: int = 256
    steps: int = 60
    batch: int = 8
    rate: float = 0.05
    samples_per_weight: int = 16
    seed: int = 0


@dataclass(frozen=True)
class Lesson:
    """What a block shall learn.

    Attributes
    ----------
    inputs : what reaches the block, (n, channels, height, width)
    teacher_inputs : what reaches the teacher's block for the same images
    targets : what the teacher's block answers
    teacher : the teacher's block
    """

    inputs: Tensor
    teacher_inputs: Tensor
    targets: Tensor
    teacher: fx.GraphModule
