"""Training objectives: the loss of a network's answers, and its optimiser."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn.modules.dropout import _DropoutNd

from training.finetune.hooks import hooked_outputs
from training.finetune.short import distance
from training.metrics import scores_of
from training.optim import cosine, relative_adam

MANY_IMAGES = 4000
_RATE, _RATE_FAST = 1e-3, 1.2e-2


class Objective(Protocol):
    """The objective that ``fit`` minimises. `describe` identifies it in checkpoints."""

    def describe(self) -> str: ...

    def optimiser(self, network: nn.Module) -> torch.optim.Optimizer: ...

    def factor(self, step: int, steps: int) -> float:
        """The factor of the learning rates."""

    @contextmanager
    def watching(self, network: nn.Module, device: torch.device) -> Iterator[None]:
        """Prepare to train `network` on `device`."""

    def loss(self, answers: Any, inputs: Tensor, index: Tensor) -> Tensor:
        """Loss of the network's latest answers to `inputs`, which are images `index`; all on its device."""


@contextmanager
def _whole(network: nn.Module) -> Iterator[None]:
    """Turn dropout off: distillation targets need no noise."""
    shares = {layer: layer.p for layer in network.modules() if isinstance(layer, _DropoutNd)}
    try:
        for layer in shares:
            layer.p = 0.0
        yield
    finally:
        for layer, share in shares.items():
            layer.p = share


def rate_for(fast: bool) -> float:
    """Learning rate of distillation, relative to the size of each tensor; small against overfitting."""
    return _RATE_FAST if fast else _RATE


def _label_error(answers: Any, labels: Tensor) -> Tensor:
    return nn.functional.cross_entropy(scores_of(answers).float(), labels)


@dataclass
class Distillation:
    """Distils the teacher's answers and the outputs of `blocks`; also learns from labels, if there are any.

    Attributes
    ----------
    classifies : whether the answers are class scores
    rate : relative to each tensor's own size
    features : weight of the blocks' outputs beside the network's answers
    labels : class number of every image
    answering : what gives the answers to learn, if it is not the teacher
    """

    teacher: nn.Module
    blocks: Collection[str]
    rate: float
    classifies: bool = True
    features: float = 1.0
    labels: Tensor | None = None
    answering: nn.Module | None = None
    _made: dict[str, Tensor] = field(default_factory=dict, init=False)
    _wanted: dict[str, Tensor] = field(default_factory=dict, init=False)

    def describe(self) -> str:
        return f"distilled, rate {self.rate}, features {self.features}, labels {self.labels is not None}"

    def optimiser(self, network: nn.Module) -> torch.optim.Optimizer:
        return relative_adam(network, self.rate)

    def factor(self, step: int, steps: int) -> float:
        return cosine(step, steps, steps // 20)

    @contextmanager
    def watching(self, network: nn.Module, device: torch.device) -> Iterator[None]:
        teachers = [self.teacher] if self.answering is None else [self.teacher, self.answering]
        for teacher in teachers:
            teacher.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.labels = None if self.labels is None else self.labels.to(device)
        with (
            hooked_outputs(network, self.blocks) as self._made,
            hooked_outputs(self.teacher, self.blocks) as self._wanted,
            _whole(network),
        ):
            yield
        for teacher in teachers:
            teacher.to("cpu")

    def loss(self, answers: Any, inputs: Tensor, index: Tensor) -> Tensor:
        with torch.no_grad():
            wanted = self.teacher(inputs) if self.blocks or self.answering is None else None
            wanted = wanted if self.answering is None else self.answering(inputs)
        asked = distance(answers, wanted, self.classifies) + self.features * self._feature_error()
        return asked if self.labels is None else asked + _label_error(answers, self.labels[index])

    def _feature_error(self) -> Tensor:
        """Mean over blocks of the squared distance, relative to the variance of the targets."""
        errors = [
            (self._made[name].float() - target.float()).square().mean()
            / target.float().var().clamp_min(1e-12)
            for name, target in self._wanted.items()
        ]
        self._made.clear()  # kept, they would tie a captured step to the one before
        self._wanted.clear()
        return torch.stack(errors).mean() if errors else torch.zeros(())


@dataclass
class LabelTraining:
    """The paper's (DeepRebirth, section 3): labels, momentum, new layers ten times as fast.

    Attributes
    ----------
    labels : class number of every image
    fresh : names of the submodules that are new
    """

    labels: Tensor
    fresh: Collection[str]
    rate: float = 1e-3
    times: float = 10.0
    momentum: float = 0.9
    decay: float = 2e-4

    def describe(self) -> str:
        return f"labelled, rate {self.rate}, new layers {self.times} times, {sorted(self.fresh)}"

    def optimiser(self, network: nn.Module) -> torch.optim.Optimizer:
        new: list[nn.Parameter] = []
        old: list[nn.Parameter] = []
        for name, parameter in network.named_parameters():
            inside = any(name.startswith(f"{part}.") for part in self.fresh)
            (new if inside else old).append(parameter)
        groups = [{"params": old, "lr": self.rate}, {"params": new, "lr": self.rate * self.times}]
        return torch.optim.SGD(
            [group for group in groups if group["params"]], momentum=self.momentum, weight_decay=self.decay
        )

    def factor(self, step: int, steps: int) -> float:
        """A tenth after each third."""
        return float(0.1 ** (3 * step // max(steps, 1)))

    @contextmanager
    def watching(self, network: nn.Module, device: torch.device) -> Iterator[None]:
        self.labels = self.labels.to(device)
        yield

    def loss(self, answers: Any, inputs: Tensor, index: Tensor) -> Tensor:
        return _label_error(answers, self.labels[index])
