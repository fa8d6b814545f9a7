"""A whole network: how far its answers are from the teacher's, brought closer, and judged."""

from collections.abc import Callable, Collection
from dataclasses import dataclass

import torch
from scipy.stats import binomtest
from torch import Tensor, nn

from training.optim import descend
from training.walk import outputs_of

Progress = Callable[[int, int], None]
_TEMPERATURE = 2.0


@dataclass(frozen=True)
class Accuracy:
    """Percent of images whose class is the best (or among the five best) answer.

    `expected` is the mean probability that the network gives to the right class, in percent: the top-1
    accuracy to expect if it drew its answers from its own probabilities. Every image counts by how
    sure its answer is, so plans differ where a few hundred images give many of them the same top-1.
    """

    top1: float
    top5: float
    images: int
    expected: float

    def interval(self, percent: float) -> tuple[float, float]:
        """95 % confidence interval of a share of the images, in percent (Wilson 1927)."""
        found = binomtest(round(percent * self.images / 100), self.images).proportion_ci(method="wilson")
        return 100 * float(found.low), 100 * float(found.high)

    @property
    def error(self) -> float:
        """Standard error of top-1, in points."""
        share = self.top1 / 100
        return 100 * (share * (1 - share) / max(self.images, 1)) ** 0.5


def accuracy(logits: Tensor, labels: Tensor) -> Accuracy:
    """Accuracy of answers (n, classes) against class numbers (n,)."""
    best = logits.topk(min(5, logits.shape[1]), dim=1).indices == labels[:, None]
    return Accuracy(
        100 * float(best[:, 0].float().mean()),
        100 * float(best.any(dim=1).float().mean()),
        len(labels),
        100 * float(logits.softmax(dim=1).gather(1, labels[:, None]).mean()),
    )


def by_class(answers: Collection[Tensor], labels: Tensor) -> dict[int, tuple[int, list[float]]]:
    """For every class that has images: how many, and the top-1 of several networks' answers, in percent."""
    right = torch.stack([(logits.argmax(1) == labels).float() for logits in answers])
    found: dict[int, tuple[int, list[float]]] = {}
    for number in labels.unique().tolist():
        of_class = labels == number
        found[number] = int(of_class.sum()), [100 * float(r[of_class].mean()) for r in right]
    return found


def distillation(student: Tensor, teacher: Tensor) -> Tensor:
    """Kullback-Leibler divergence of softened answers (Hinton et al. 2015), scaled by T squared."""
    soft, wanted = (torch.log_softmax(logits / _TEMPERATURE, dim=1) for logits in (student, teacher))
    return nn.functional.kl_div(soft, wanted, log_target=True, reduction="batchmean") * _TEMPERATURE**2


def finetune(
    merged: nn.Module,
    images: Callable[[Tensor], Tensor],
    teacher_logits: Tensor,
    steps: int,
    batch: int,
    rate: float,
    seed: int,
    progress: Progress = lambda _, __: None,
) -> None:
    """A fixed number of steps of the whole network towards the teacher's answers, in place.

    `images` gives preprocessed images for indices; `teacher_logits` are cached for all of them.
    """
    generator = torch.Generator().manual_seed(seed)

    def loss(index: Tensor) -> Tensor:
        return distillation(merged(images(index)), teacher_logits[index])

    descend(merged, loss, len(teacher_logits), steps, batch, rate, generator, progress)


def evaluate(model: nn.Module, images: Callable[[Tensor], Tensor], labels: Tensor) -> tuple[Accuracy, Tensor]:
    """Accuracy and answers for all images, in batches; channels last take GoogLeNet half the time."""
    index = torch.arange(len(labels))
    batches = (images(part).contiguous(memory_format=torch.channels_last) for part in index.split(64))
    logits = torch.cat([outputs_of(model, batch) for batch in batches])
    return accuracy(logits, labels), logits
