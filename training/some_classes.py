"""Only some of a network's classes: images of the others are left out, and the head is cut to these."""

import copy
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from merges.channels import keep_outputs, made_by
from merges.reading.check import TOLERANCE, answers_of, example_images, worst
from training.data.dataset import Data, Images
from training.data.labels import lines_of, places_of
from training.errors import BadInputError
from training.images.image_list import UNLABELLED
from training.models.loading import LoadedModel

_CHECK_IMAGES = 4


def of_images(data: Data, path: str) -> tuple[Data, list[int]]:
    """The images of some classes, with the classes numbered anew, and the numbers that they had.

    Images to learn on that have no label stay.

    Parameters
    ----------
    path : a text file with one class per line, by name as ``data.classes`` has it

    Raises
    ------
    BadInputError
        The file cannot be read, names no class of the images or fewer than two, or leaves no image of them.
    """
    if not data.classes:
        raise BadInputError(
            f"`classes` {path} names classes, and the images of {data.judge_spec or data.spec} have none; "
            "give one sub-folder of images per class"
        )
    kept = places_of(lines_of(path), data.classes, data.judge_spec or data.spec)
    if len(set(kept)) < max(2, len(kept)):
        raise BadInputError(f"{path} names one class alone, or one twice; expected two or more, one per line")
    number = torch.full((len(data.classes),), UNLABELLED - 1)
    number[kept] = torch.arange(len(kept))
    parts = {part: _of(getattr(data, part), number) for part in ("train", "proxy", "test")}
    for part, images in parts.items():
        if len(getattr(data, part)) and not len(images):
            raise BadInputError(f"no image of {data.spec} is of a class that {path} names")
    needed = replace(data, classes=tuple(data.classes[n] for n in kept))
    return replace(needed, train=parts["train"], proxy=parts["proxy"], test=parts["test"]), kept


def _of(images: Images, number: Tensor) -> Images:
    anew = torch.where(images.labels == UNLABELLED, UNLABELLED, number[images.labels.clamp_min(0)])
    return Images(images.pixels, anew).take(torch.nonzero(anew >= UNLABELLED).flatten())


def of_head(loaded: LoadedModel, kept: Sequence[int], of: int) -> LoadedModel:
    """The network with only these outputs, in this order, of its `of` classes.

    The layer that makes the scores is the last one whose outputs can be cut so that all other scores stay:
    every candidate is tried and checked on images.

    Raises
    ------
    BadInputError
        The network does not answer with one vector of so many class scores, or has no such layer.
    """
    outputs = outputs_of(loaded)
    if outputs != of:
        raise BadInputError(
            f"{loaded.name} has {outputs} outputs but the images are of {of} classes; give `labels` FILE, "
            "one class per line in the order of the outputs"
        )
    images = example_images(loaded.input_shape, _CHECK_IMAGES)
    answers = answers_of(loaded.model, images)
    wanted = _again_one(answers[0], answers[0][:, list(kept)])
    makers = [name for name, module in loaded.model.named_modules() if made_by(module) == of]
    for name in reversed(makers):
        model = copy.deepcopy(loaded.model)
        keep_outputs(model.get_submodule(name), torch.tensor(list(kept)))
        try:
            same = worst(answers_of(model, images), [wanted]) < TOLERANCE
        except (RuntimeError, ValueError, IndexError):  # what reads the scores needs all of them
            same = False
        if same:
            return replace(loaded, model=model)
    raise BadInputError(
        f"no layer of {loaded.name} can be cut to {len(kept)} of its {of} classes; leave `classes` out, or "
        "cut the network's head yourself"
    )


def outputs_of(loaded: LoadedModel) -> int:
    """How many class scores a network gives.

    Raises
    ------
    BadInputError
        It does not answer with one vector.
    """
    answers = answers_of(loaded.model, example_images(loaded.input_shape, 1))
    if len(answers) != 1 or answers[0].dim() != 2:
        shapes = " and ".join("x".join(map(str, answer.shape)) for answer in answers)
        raise BadInputError(f"{loaded.name} returns {shapes}: `classes` needs one vector of class scores")
    return int(answers[0].shape[1])


def _again_one(whole: Tensor, kept: Tensor) -> Tensor:
    """Probabilities (or their logarithms) of the kept classes alone; other scores as they are."""
    one = torch.ones(len(whole))
    if bool((whole >= 0).all()) and torch.allclose(whole.sum(1), one, atol=TOLERANCE):
        return kept / kept.sum(1, keepdim=True)
    if torch.allclose(whole.exp().sum(1), one, atol=TOLERANCE):
        return kept.log_softmax(1)
    return kept
