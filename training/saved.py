"""Saves weights of networks."""

from pathlib import Path

from safetensors.torch import save_file
from torch import Tensor, nn

from training.files import replacing


def weights_of(model: nn.Module) -> dict[str, Tensor]:
    """A network's weights, in the form that safetensors takes."""
    return {name: value.contiguous() for name, value in model.state_dict().items()}


def save_weights(weights: dict[str, Tensor], path: Path) -> None:
    """Write weights as safetensors, atomically."""
    with replacing(path) as temporary:
        save_file(weights, temporary)
