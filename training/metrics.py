"""What a network answers, and how often it is right."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

import torch
from scipy.stats import binomtest
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from training.finite import require_finite

BATCH = 64


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


def evaluate(model: nn.Module, images: Callable[[Tensor], Tensor], labels: Tensor) -> tuple[Accuracy, Tensor]:
    """Accuracy and answers for all images, in batches, on the network's device.

    Channels last take GoogLeNet half the time.

    Raises
    ------
    DivergedError
        An answer is not finite.
    """
    index = torch.arange(len(labels))
    device = next((weight.device for weight in model.parameters()), index.device)
    batches = (images(part).to(device, memory_format=torch.channels_last) for part in index.split(64))
    logits = torch.cat([outputs_of(model, batch).cpu() for batch in batches])
    require_finite(logits, "an answer of the network")
    return accuracy(logits, labels), logits


@torch.no_grad()
def outputs_of(model: nn.Module, inputs: Tensor, batch: int = BATCH) -> Tensor:
    """A module's outputs for all inputs, batch by batch."""
    return torch.cat([scores_of(model(inputs[i : i + batch].float())) for i in range(0, len(inputs), batch)])


def scores_of(answers: Any) -> Tensor:
    """The first tensor that a network returns, alone or in a tuple, list or dict."""
    first: Tensor = pytree.tree_leaves(answers)[0]
    return first
