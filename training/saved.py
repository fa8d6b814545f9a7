"""Weights of networks on disk."""

from pathlib import Path

from safetensors.torch import save_file
from torch import Tensor, nn

from training.files import replacing


def weights_of(model: nn.Module) -> dict[str, Tensor]:
    """A network's weights as safetensors takes them."""
    return {name: value.contiguous() for name, value in model.state_dict().items()}


def save_weights(weights: dict[str, Tensor], path: Path) -> None:
    """Write weights as safetensors, in one step."""
    with replacing(path) as temporary:
        save_file(weights, temporary)
