"""The short fine-tune of a whole network towards its teacher's answers."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from training.optim import Descent, descend
from training.progress import Progress, quiet

_TEMPERATURE = 2.0
_VECTORS = 2  # dimensions of an embedding or of scores: images, values


def distillation(student: Tensor, teacher: Tensor) -> Tensor:
    """Kullback-Leibler divergence of softened answers (Hinton et al. 2015), scaled by T squared."""
    soft, wanted = (torch.log_softmax(logits / _TEMPERATURE, dim=1) for logits in (student, teacher))
    return nn.functional.kl_div(soft, wanted, log_target=True, reduction="batchmean") * _TEMPERATURE**2


def distance(answers: Any, wanted: Any, classifies: bool) -> Tensor:
    """How far answers are from the teacher's: of class scores their divergence, else the mean over outputs.

    `answers` and `wanted` are what networks return: a tensor, or tensors in a tuple, list or dict. Maps,
    boxes and the like are as far as their squared error is, as a share of what differs from image to image;
    vectors also by the angle between them.
    """
    pairs = list(zip(*map(pytree.tree_leaves, (answers, wanted)), strict=True))
    if classifies:
        ((scores, teacher),) = pairs
        return distillation(scores.float(), teacher.float())
    return torch.stack([_apart(made.float(), target.float()) for made, target in pairs]).mean()


def _apart(made: Tensor, wanted: Tensor) -> Tensor:
    varying = (wanted - wanted.mean(0)) if len(wanted) > 1 else wanted
    error = (made - wanted).square().mean() / varying.square().mean().clamp_min(1e-12)
    if made.ndim != _VECTORS:
        return error
    return error + 1 - nn.functional.cosine_similarity(made, wanted).mean()


def finetune(
    merged: nn.Module,
    images: Callable[[Tensor], Tensor],
    error: Callable[[Any, Tensor], Tensor],
    count: int,
    how: Descent,
    seed: int,
    progress: Progress = quiet,
) -> None:
    """Fine-tune a network towards the teacher's answers for a fixed number of steps, in place.

    `images` gives preprocessed images for some of `count` indices, `error` how far answers to them are from
    the teacher's.
    """
    generator = torch.Generator().manual_seed(seed)

    def loss(index: Tensor) -> Tensor:
        return error(merged(images(index)), index)

    descend(merged, loss, count, how, generator, progress)
