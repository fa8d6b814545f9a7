"""The short fine-tune of a whole network towards its teacher's answers."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from training.optim import Descent, descend
from training.progress import Progress, quiet

_TEMPERATURE = 2.0


def distillation(student: Tensor, teacher: Tensor) -> Tensor:
    """Kullback-Leibler divergence of softened answers (Hinton et al. 2015), scaled by T squared."""
    soft, wanted = (torch.log_softmax(logits / _TEMPERATURE, dim=1) for logits in (student, teacher))
    return nn.functional.kl_div(soft, wanted, log_target=True, reduction="batchmean") * _TEMPERATURE**2


def finetune(
    merged: nn.Module,
    images: Callable[[Tensor], Tensor],
    teacher_logits: Tensor,
    how: Descent,
    seed: int,
    progress: Progress = quiet,
) -> None:
    """Fine-tune a network towards the teacher's answers for a fixed number of steps, in place.

    `images` gives preprocessed images for indices; `teacher_logits` are cached for all of them.
    """
    generator = torch.Generator().manual_seed(seed)

    def loss(index: Tensor) -> Tensor:
        return distillation(merged(images(index)), teacher_logits[index])

    descend(merged, loss, len(teacher_logits), how, generator, progress)
