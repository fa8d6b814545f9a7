"""How good a network is: by labels, by its teacher's answers, or by a metric of the user's own."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, fx, nn

from merges.reading.check import answers_of
from merges.reading.exported import answering
from training import factories
from training.data.dataset import Images
from training.errors import BadInputError, DivergedError
from training.finite import require_finite
from training.metric import ANSWERS, BY_LABELS
from training.metrics import BATCH, Accuracy, evaluate

Inputs = Callable[[Images], Callable[[Tensor], Tensor]]


@dataclass(frozen=True)
class Judged:
    """How good a network is.

    Attributes
    ----------
    value : by the metric, the larger the better; percent, but for a metric of the user's own
    accuracy : where labels judge, all accuracies
    kept : where answers judge, the share of each output's variance that is kept (percent), by output
    """

    value: float
    accuracy: Accuracy | None = None
    kept: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Judge:
    """Judges networks, all in the same way.

    Attributes
    ----------
    metric : see ``training.metric``
    teacher : the untouched network
    outputs : names of its outputs
    inputs : gives preprocessed images by index, for some images
    """

    metric: str
    teacher: fx.GraphModule
    outputs: Sequence[str]
    inputs: Inputs

    @property
    def by_labels(self) -> bool:
        """Whether networks are judged by the classes of the images."""
        return self.metric in BY_LABELS

    def of(self, accuracy: Accuracy) -> Judged:
        """How good a network is whose accuracies are known, where labels judge."""
        return Judged(float(getattr(accuracy, self.metric)), accuracy)

    def judge(self, network: nn.Module, images: Images) -> Judged:
        """How good a network is on some images.

        Raises
        ------
        BadInputError
            The user's metric fails, or does not return a number.
        DivergedError
            An answer is not finite.
        """
        if self.by_labels:
            return self.of(evaluate(network, self.inputs(images), images.labels)[0])
        batches = map(self.inputs(images), torch.arange(len(images)).split(BATCH))
        if self.metric == ANSWERS:
            shares = kept(self.teacher, network, batches)
            return Judged(sum(shares) / len(shares), kept=dict(zip(self.outputs, shares, strict=True)))
        return Judged(_by_own(self.metric, network, torch.cat(list(batches))))


def kept(teacher: nn.Module, network: nn.Module, batches: Iterable[Tensor]) -> list[float]:
    """The share of the teacher's answers that a network keeps, in percent, for every output.

    What differs from image to image counts: 100 less the squared error as a share of the variance over the
    images, summed over an output's elements; a network that gives the mean answer for every image has 0.

    Raises
    ------
    BadInputError
        There are fewer than two images.
    DivergedError
        An answer is not finite.
    """
    lost: list[Tensor] = []
    sums: list[Tensor] = []
    squares: list[Tensor] = []
    count = 0
    for images in batches:
        made, wanted = answers_of(network, images.float()), answers_of(teacher, images.float())
        for answer in made:
            require_finite(answer, "an answer of the network")
        pairs = [(m.double(), w.double()) for m, w in zip(made, wanted, strict=True)]
        if not count:
            lost, sums, squares = ([torch.zeros_like(w[0]) for _, w in pairs] for _ in range(3))
        for output, (m, w) in enumerate(pairs):
            lost[output] += (m - w).square().sum(0)
            sums[output] += w.sum(0)
            squares[output] += w.square().sum(0)
        count += len(images)
    if count < 2:
        raise BadInputError(f"{count} image(s) cannot tell how much of the answers is kept; give more images")
    return [_share(*parts, count) for parts in zip(lost, sums, squares, strict=True)]


def _share(lost: Tensor, sums: Tensor, squares: Tensor, count: int) -> float:
    """The share that is kept (percent), from sums over images: of squared errors, answers, their squares."""
    spread = float((squares - sums.square() / count).sum()) * count / (count - 1)
    rounding = 1e-12 * float(squares.sum())
    if spread <= rounding:  # the same answer for every image
        return 100.0 if float(lost.sum()) <= rounding else 0.0
    return 100 * max(0.0, 1 - float(lost.sum()) / spread)


def _by_own(metric: str, network: nn.Module, images: Tensor) -> float:
    """What the user's function gives for a network."""
    try:
        with answering(network):
            value = float(factories.found(metric)(network, images))
    except (Exception, SystemExit) as error:
        raise BadInputError(
            f"the metric {metric} failed ({type(error).__name__}: {error}); expected a function that takes a "
            "network and preprocessed images (n, channels, height, width), and returns a number"
        ) from error
    if not math.isfinite(value):
        raise DivergedError(f"the metric {metric} gave {value}")
    return max(0.0, value)
