"""Reads files of trained weights without running code from them, and loads them into networks."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from training.errors import BadInputError

# Training-only heads: torchvision networks are built without them, their weights are left aside.
_AUXILIARY = ("aux1.", "aux2.", "AuxLogits.", "aux_classifier.")
# What training programs call the weights in a checkpoint: the averaged ones are those that they judge.
_WRAPPERS = (
    "state_dict_ema",
    "model_ema",
    "ema_state_dict",
    "ema",
    "state_dict",
    "model_state_dict",
    "model",
)
_PREFIXES = ("module.", "_orig_mod.", "model.")  # DataParallel and averages, torch.compile, Lightning
_FORBIDDEN = "can still be loaded"  # PyTorch's advice on files that hold code or objects: not taken
_COUNTERS = ("n_averaged",)  # of torch's AveragedModel


def read(path: str) -> dict[str, Tensor]:
    """Read a state dict from a file without running any code in it.

    Raises
    ------
    BadInputError
        The file does not exist, is damaged, or holds no weights or other things too.
    """
    file = Path(path).expanduser()
    if not file.is_file():
        raise BadInputError(
            f"weights {path} do not exist; expected a .safetensors file or a PyTorch state dict"
        )
    if not file.stat().st_size:
        raise BadInputError(f"weights {path} are an empty file; save the model's state_dict()")
    try:
        safe = file.suffix.lower() == ".safetensors"
        state = load_file(file) if safe else torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file can raise anything
        if _FORBIDDEN in str(error):
            raise BadInputError(
                f"weights {path} hold more than tensors; save the model's state_dict()"
            ) from error
        told = isinstance(error, (SafetensorError, OSError, RuntimeError)) and str(error)
        reason = str(error).splitlines()[0].split(". ")[0][:160] if told else "it is no file of PyTorch's"
        raise BadInputError(
            f"weights {path} cannot be read ({reason}); expected safetensors or a state dict"
        ) from error
    return _checked(_unwrapped(state), path)


def _unwrapped(value: Any) -> Any:
    """The state dict in a checkpoint that holds other things too (epoch, optimiser)."""
    while isinstance(value, Mapping):
        below = {key: inner for key, inner in value.items() if isinstance(inner, Mapping)}
        known = [key for key in _WRAPPERS if below.get(key)]
        lone = [key for key, inner in below.items() if _is_state(inner)]
        if not known and len(lone) != 1:
            break
        value = below[known[0] if known else lone[0]]
    return value


def _is_state(value: Any) -> bool:
    tensors = isinstance(value, Mapping) and all(isinstance(v, Tensor) for v in value.values())
    return bool(tensors and value and all(isinstance(key, str) for key in value))


def _checked(value: Any, path: str) -> dict[str, Tensor]:
    if not _is_state(value):
        held = f"a {type(value).__name__}"
        if isinstance(value, Mapping):
            held = f"the entries {', '.join(map(str, list(value)[:4]))}" if value else "nothing"
        raise BadInputError(f"weights {path} are no state dict ({held}); save the model's state_dict()")
    return {key: tensor for key, tensor in value.items() if key not in _COUNTERS}


def renamed(state: dict[str, Tensor], own: Collection[str]) -> dict[str, Tensor]:
    """The weights under a network's names, without the prefixes of wrappers."""
    while state and not any(name in own for name in state):
        prefix = next((p for p in _PREFIXES if all(name.startswith(p) for name in state)), None)
        if prefix is None:
            break
        state = {name.removeprefix(prefix): tensor for name, tensor in state.items()}
    return state


def outputs_of(model: nn.Module, state: dict[str, Tensor] | None) -> int | None:
    """The number of outputs of the classifier whose weights are in the file."""
    own = model.state_dict()
    if state is None or not own:
        return None
    last = renamed(state, own).get(list(own)[-1])
    return int(last.shape[0]) if last is not None and last.ndim else None


def fill(name: str, model: nn.Module, state: dict[str, Tensor], path: str) -> None:
    """Load weights into a network.

    Raises
    ------
    BadInputError
        The weights do not fit the network.
    """
    own = model.state_dict()
    state = renamed(state, own)
    given = {k: v for k, v in state.items() if not k.startswith(_AUXILIARY) or k in own}
    missing = [k for k in own if k not in given and not k.endswith("num_batches_tracked")]
    extra = [k for k in given if k not in own]
    shapes = [k for k in own if k in given and own[k].shape != given[k].shape]
    if missing or extra or shapes:
        what = (
            f"{shapes[0]} has shape {tuple(given[shapes[0]].shape)}, expected {tuple(own[shapes[0]].shape)}"
            if shapes
            else f"{missing[0]} is missing"
            if missing
            else f"{extra[0]} is not part of it"
        )
        raise BadInputError(
            f"weights {path} do not belong to {name}: {what}; give the weights of this network"
        )
    model.load_state_dict(given, strict=False)
