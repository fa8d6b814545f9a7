"""Loads a network from a model's name and a weights file.

Names: a built-in (``training/networks``), any ``torchvision.models`` classifier, an ONNX file, or
``package.module:factory``, a function without arguments that returns a trained network.
"""

import difflib
import importlib
import inspect
from dataclasses import dataclass

import torch
import torchvision
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from merges.sizes import sides
from training import factories, onnx_input
from training.builtins import builtins
from training.config import is_factory, is_onnx
from training.data.preprocess import IMAGENET, Preprocess, named
from training.errors import BadInputError
from training.models import networks, own_inputs, weights_file
from training.sizes import Shape, Size, channels_of, plane

DEFAULT_CLASSES = 1000
_WRAPPERS = (nn.DataParallel, nn.parallel.DistributedDataParallel, AveragedModel)
_CHANNELS = 3  # of a network without convolutions


@dataclass(frozen=True)
class LoadedModel:
    """A network, ready to be read.

    Attributes
    ----------
    input_size : side of its square images, or (height, width)
    trained : False if its weights are random
    channels : of its images
    fed : why images are given to it as they are, in a sentence, where nobody said how; else empty
    free : sizes that its file leaves free, of "batch", "height" and "width"
    """

    name: str
    model: nn.Module
    preprocess: Preprocess
    input_size: int | tuple[int, int]
    trained: bool
    channels: int = _CHANNELS
    fed: str = ""
    free: frozenset[str] = frozenset()

    @property
    def input_shape(self) -> Shape:
        """(channels, height, width)"""
        return self.channels, *sides(self.input_size)


def load(
    name: str,
    weights: str | None = None,
    classes: int | None = None,
    seed: int = 0,
    preprocess: str | None = None,
    input_size: Size | None = None,
    within: str | None = None,
) -> LoadedModel:
    """Build a network and load its weights.

    Parameters
    ----------
    weights : a ``.safetensors`` file or a PyTorch state dict; None: random weights
    classes : outputs of a network without weights; with weights, their own number counts
    preprocess : as ``training.data.preprocess.named`` reads it; None: as the network is known to take them
    input_size : size of its images; None: the network's own
    within : name of the part that is the network, as ``backbone.body``; it takes the images itself

    Raises
    ------
    BadInputError
        The model is unknown, lacks the part or does not take such images, or the weights cannot be read or do
        not fit.
    """
    asked = None if preprocess is None else named(preprocess)
    state = weights_file.read(weights) if weights else None
    given = None if input_size is None else plane(input_size)
    torch.manual_seed(seed)
    free, facts = frozenset[str](), dict[str, str]()
    if is_onnx(name):
        model, size = onnx_input.read(name, given)
        usual, trained, free, facts = IMAGENET, True, model.free, model.facts  # type: ignore[assignment]
    elif is_factory(name):
        model, usual, size, trained = _from_factory(name), IMAGENET, 224, True
    else:
        model, usual, size = _by_name(name, state, classes)
        trained = state is not None
    if state is not None:
        weights_file.fill(name, model, state, str(weights))
    model = model if within is None else _part(name, model, within)
    channels = _channels(name, model, channels_of(input_size))
    implied, own_size = own_inputs.of_timm(model)
    implied = implied or own_inputs.of_export(facts)
    feeding = (asked or implied or usual).of_channels(channels, name)
    fed = "" if asked or not (is_onnx(name) or is_factory(name)) else _fed(name, feeding, bool(implied))
    return LoadedModel(name, model.eval(), feeding, given or own_size or size, trained, channels, fed, free)


def _fed(name: str, feeding: Preprocess, own: bool) -> str:
    says = "metadata say" if is_onnx(name) else "pretrained_cfg says"
    known = f"its {says}" if own else "torchvision's networks are"
    of = {1: "grey", 3: "RGB"}.get(len(feeding.mean), "every channel")
    return (
        f"{name} is given images as {known} ({feeding}: mean and deviation of {of} of 0-1); "
        "`preprocess` says otherwise"
    )


def _part(name: str, model: nn.Module, within: str) -> nn.Module:
    parts = dict(model.named_modules())
    if within not in parts:
        close = difflib.get_close_matches(within, parts, n=3) or [part for part, _ in model.named_children()]
        raise BadInputError(f"{name} has no part {within!r}; `within` may be {', '.join(close[:8])}")
    return parts[within]


def _channels(name: str, model: nn.Module, asked: int | None) -> int:
    """Channels of the images, by the file, the user, or the first convolution."""
    if is_onnx(name):
        found = int(model.input_shape[0])  # type: ignore[index]
        if asked not in (None, found):
            raise BadInputError(
                f"{name} takes images of {found} channel(s), not {asked}; leave them out of `input_size`"
            )
        return found
    first = next((m.in_channels for m in model.modules() if isinstance(m, nn.Conv2d)), _CHANNELS)
    return asked or first


def _by_name(
    name: str, state: dict[str, Tensor] | None, classes: int | None
) -> tuple[nn.Module, Preprocess, int]:
    outputs_of = weights_file.outputs_of
    if name in builtins():
        module = importlib.import_module(f"{networks.__name__}.{name}")
        outputs = outputs_of(module.build(), state) or classes or module.CLASSES
        return module.build(outputs), module.PREPROCESS, module.INPUT_SIZE
    known = torchvision.models.list_models(module=torchvision.models)
    if name not in known:
        close = difflib.get_close_matches(name, [*known, *builtins()], n=3)
        hint = f"did you mean {' or '.join(close)}?" if close else "'googlenet' is one"
        raise BadInputError(
            f"unknown model {name!r}; expected one of {', '.join(builtins())}, a torchvision.models "
            f"name ({hint}), a .onnx file, or package.module:factory"
        )
    outputs = outputs_of(_torchvision(name, DEFAULT_CLASSES), state) or classes or DEFAULT_CLASSES
    return _torchvision(name, outputs), *own_inputs.of_torchvision(name)


def _torchvision(name: str, classes: int) -> nn.Module:
    builder = torchvision.models.get_model_builder(name)
    accepted = inspect.signature(builder).parameters
    headless = {"aux_logits": False, "init_weights": False}
    # GoogLeNet and Inception v3 take these; for others they would reach a constructor without them.
    options = headless if name in ("googlenet", "inception_v3") else {}
    assert "weights" in accepted
    return torchvision.models.get_model(name, weights=None, num_classes=classes, **options)


def _from_factory(name: str) -> nn.Module:
    try:
        model = factories.made(name)
    except (Exception, SystemExit) as error:
        raise BadInputError(
            f"{name} did not give a model ({type(error).__name__}: {error}); expected an importable "
            "package.module:factory that takes no argument"
        ) from error
    if not isinstance(model, nn.Module):
        raise BadInputError(f"{name} returned a {type(model).__name__}; expected a torch.nn.Module")
    return _bare(model)


def _bare(model: nn.Module) -> nn.Module:
    """The network inside wrappers that do not change its answers."""
    while True:
        compiled = getattr(model, "_orig_mod", None)  # torch.compile's
        if isinstance(model, _WRAPPERS):
            model = model.module
        elif isinstance(compiled, nn.Module):
            model = compiled
        else:
            return model
