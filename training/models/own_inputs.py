"""What networks say of their own inputs.

timm's say it in ``pretrained_cfg``, torchvision's with their weights, ONNX files that ``export`` wrote in
their metadata.
"""

import json
from collections.abc import Mapping

import torchvision
from torch import nn

from training import sizes
from training.data import preprocess
from training.data.preprocess import Preprocess


def of_torchvision(name: str) -> tuple[Preprocess, int]:
    """The preprocessing and the size of images that torchvision's own weights of a network are for."""
    known = torchvision.models.get_model_weights(name)["DEFAULT"].transforms()
    return Preprocess(tuple(known.mean), tuple(known.std)), known.crop_size[0]


def of_timm(model: nn.Module) -> tuple[Preprocess | None, int | tuple[int, int] | None]:
    """The same, as far as a network of timm's says it; None where it does not."""
    said = getattr(model, "pretrained_cfg", None)
    known = said if isinstance(said, Mapping) else {}
    mean, std, size = (tuple(known.get(what) or ()) for what in ("mean", "std", "input_size"))
    feeding = Preprocess(mean, std) if preprocess.possible(mean, std) else None
    return feeding, sizes.plane(size) if len(size) == 3 and sizes.possible(size) else None


def of_export(facts: Mapping[str, str]) -> Preprocess | None:
    """The preprocessing that an ONNX file's metadata name; None where no ``export`` wrote them."""
    try:
        return Preprocess.of_steps(json.loads(facts["preprocess"]))
    except (LookupError, TypeError, ValueError):
        return None
