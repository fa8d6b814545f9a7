"""From a model's name and a weights file to a network that can be evaluated.

Names: a built-in (``training/networks``), any ``torchvision.models`` classifier, an ONNX file, or
``package.module:factory``, a function without arguments that returns a trained network.
"""

import difflib
import importlib
import inspect
import pkgutil
from dataclasses import dataclass
from pathlib import Path

import torch
import torchvision
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from training import factories, onnx_input
from training.errors import BadInputError
from training.preprocess import BY_NAME, IMAGENET, Preprocess

# Training-only heads: torchvision networks are built without them, their weights are left aside.
_AUXILIARY = ("aux1.", "aux2.", "AuxLogits.", "aux_classifier.")
DEFAULT_CLASSES = 1000


@dataclass(frozen=True)
class LoadedModel:
    """A network ready to be traced. `trained` is False where its weights are random."""

    name: str
    model: nn.Module
    preprocess: Preprocess
    input_size: int
    trained: bool


def builtins() -> list[str]:
    """Names of the built-in networks."""
    return [
        module.name for module in pkgutil.iter_modules(importlib.import_module("training.networks").__path__)
    ]


def load(
    name: str,
    weights: str | None = None,
    classes: int | None = None,
    seed: int = 0,
    preprocess: str | None = None,
) -> LoadedModel:
    """Build a network and load its weights.

    Parameters
    ----------
    weights : a ``.safetensors`` file or a PyTorch state dict; None leaves random weights
    classes : outputs of a network without weights; with weights, their own number counts
    preprocess : ``imagenet`` or ``caffe``; None is what the network's name implies

    Raises
    ------
    BadInputError
        The model is unknown, or the weights cannot be read or belong to another network.
    """
    state = read_weights(weights) if weights else None
    torch.manual_seed(seed)
    if name.endswith(".onnx"):
        (model, size), implied, trained = onnx_input.read(name), IMAGENET, True
    elif ":" in name:
        model, implied, size, trained = _from_factory(name), IMAGENET, 224, True
    else:
        model, implied, size = _by_name(name, state, classes)
        trained = state is not None
    if state is not None:
        _fill(name, model, state, str(weights))
    chosen = implied if preprocess is None else BY_NAME[preprocess]
    return LoadedModel(name, model.eval(), chosen, size, trained)


def _by_name(
    name: str, state: dict[str, Tensor] | None, classes: int | None
) -> tuple[nn.Module, Preprocess, int]:
    if name in builtins():
        module = importlib.import_module(f"training.networks.{name}")
        outputs = _outputs(module.build(), state) or classes or module.CLASSES
        return module.build(outputs), module.PREPROCESS, module.INPUT_SIZE
    known = torchvision.models.list_models(module=torchvision.models)
    if name not in known:
        close = difflib.get_close_matches(name, [*known, *builtins()], n=3)
        hint = f"did you mean {' or '.join(close)}?" if close else "'googlenet' is one"
        raise BadInputError(
            f"unknown model {name!r}; expected one of {', '.join(builtins())}, a torchvision.models "
            f"name ({hint}), a .onnx file, or package.module:factory"
        )
    outputs = _outputs(_torchvision(name, DEFAULT_CLASSES), state) or classes or DEFAULT_CLASSES
    return _torchvision(name, outputs), IMAGENET, 224


def _torchvision(name: str, classes: int) -> nn.Module:
    builder = torchvision.models.get_model_builder(name)
    accepted = inspect.signature(builder).parameters
    headless = {"aux_logits": False, "init_weights": False}
    # GoogLeNet and Inception v3 take these; for others they would reach a constructor without them.
    options = headless if name in ("googlenet", "inception_v3") else {}
    assert "weights" in accepted
    return torchvision.models.get_model(name, weights=None, num_classes=classes, **options)


def _outputs(model: nn.Module, state: dict[str, Tensor] | None) -> int | None:
    """The outputs of the classifier whose weights are in the file."""
    last = list(model.state_dict())[-1]
    return int(state[last].shape[0]) if state is not None and last in state and state[last].ndim else None


def _from_factory(name: str) -> nn.Module:
    try:
        model = factories.made(name)
    except Exception as error:
        raise BadInputError(
            f"{name} did not give a model ({type(error).__name__}: {error}); expected an importable "
            "package.module:factory that takes no argument"
        ) from error
    if not isinstance(model, nn.Module):
        raise BadInputError(f"{name} returned a {type(model).__name__}; expected a torch.nn.Module")
    return model


def read_weights(path: str) -> dict[str, Tensor]:
    """A state dict from a file, without running any code that the file may hold."""
    file = Path(path).expanduser()
    if not file.is_file():
        raise BadInputError(
            f"weights {path} do not exist; expected a .safetensors file or a PyTorch state dict"
        )
    try:
        if file.suffix == ".safetensors":
            return load_file(file)
        state = torch.load(file, map_location="cpu", weights_only=True)
    except (SafetensorError, OSError, RuntimeError, ValueError, EOFError) as error:
        reason = str(error).splitlines()[0][:160]
        raise BadInputError(
            f"weights {path} cannot be read ({reason}); expected safetensors or a state dict"
        ) from error
    except Exception as error:  # pickle.UnpicklingError: the file holds more than tensors
        raise BadInputError(
            f"weights {path} hold more than tensors; save the model's state_dict()"
        ) from error
    state = state.get("state_dict", state) if isinstance(state, dict) else state
    if not isinstance(state, dict) or not all(isinstance(v, Tensor) for v in state.values()):
        raise BadInputError(f"weights {path} are no state dict; save the model's state_dict()")
    return state


def _fill(name: str, model: nn.Module, state: dict[str, Tensor], path: str) -> None:
    own = model.state_dict()
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
