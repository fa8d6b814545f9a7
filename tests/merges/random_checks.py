"""What must hold for every network: its graph, its options and its plans answer as they should."""

import copy
import traceback
from pathlib import Path
from random import Random

import torch
from torch import Tensor, nn

from merges.network import Network, analyse
from merges.reading.check import answers_of, worst
from training.errors import ExportError
from training.export import to_onnx
from training.export_check import check, compare

TOLERANCE = 1e-4  # of the answers' scale


def error_of(made: nn.Module, model: nn.Module, images: Tensor) -> float:
    """How far answers lie apart, as a share of their scale; in double where single cannot tell."""
    single = worst(answers_of(made, images), answers_of(model, images))
    if single <= TOLERANCE:
        return single
    try:
        exact = [copy.deepcopy(network).double() for network in (made, model)]
    except RuntimeError:  # weights that are worked out cannot be copied
        return single
    return worst(*(answers_of(network, images.double()) for network in exact))


def shapes_of(model: nn.Module, images: Tensor) -> list[tuple[int, ...]]:
    """The shapes of all answers."""
    return [tuple(answer.shape) for answer in answers_of(model, images)]


def wrong_options(network: Network, model: nn.Module, images: Tensor, learned: bool) -> list[str]:
    """Exact options that change the answers, and learned ones (if asked) that give another shape."""
    wanted = shapes_of(model, images)
    wrong = []
    for site in network.sites:
        for option in site.names[1:] if site.exact or learned else ():
            merged = network.merged({site.id: option})
            if shapes_of(merged, images) != wanted:
                wrong.append(f"{site.id} {option}: another shape")
            elif site.exact and (error := error_of(merged, model, images)) > TOLERANCE:
                wrong.append(f"{site.id} {option}: {error:.1e}")
    return wrong


def random_plan(network: Network, r: Random) -> dict[str, str]:
    """An option at most of the sites."""
    return {site.id: r.choice(site.names[1:]) for site in network.sites if r.random() < 0.7}


def wrong_export(merged: nn.Module, images: Tensor, path: Path) -> list[str]:
    """How a merged network's file differs from it; and the network that is read from it."""
    channels, height, width = images.shape[1:]
    shape = int(channels), int(height), int(width)
    try:
        to_onnx(merged, shape, path)
    except ExportError as error:
        return [f"not exported: {error}"]
    check(compare(merged, path, images))
    again = analyse("again", merged, shape)
    distance = error_of(again.teacher, merged, images)
    return [f"read again: {distance:.1e}"] if distance > TOLERANCE else []


def images_for(shape: tuple[int, int, int], count: int = 3) -> Tensor:
    """Random images, always the same."""
    return torch.randn(count, *shape, generator=torch.Generator().manual_seed(0))


def place_of(error: BaseException) -> str:
    """The files and lines where an error was raised, innermost last."""
    frames = traceback.extract_tb(error.__traceback__)[-5:]
    return " > ".join(f"{Path(frame.filename).name}:{frame.lineno}" for frame in frames)
