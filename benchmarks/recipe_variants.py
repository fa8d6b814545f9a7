"""Variants of full training for ``recipe_trials.py``: what each changes, and nothing else."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from training.finetune.objectives import Distillation  # noqa: E402

_STEPS, _MOMENTUM = 5, 0.95
_NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)  # Jordan et al. 2024
_FLOOR = 1e-3


class Muon(torch.optim.Optimizer):
    """Orthogonalised momentum (Jordan et al. 2024) for matrices, Adam for the rest; rates are relative."""

    def __init__(self, network: nn.Module, rate: float, adam_rate: float) -> None:
        groups = []
        for parameter in network.parameters():
            size = max(float(parameter.detach().square().mean().sqrt()), _FLOOR)
            matrix = parameter.ndim > 1 and parameter[0].numel() > 9
            own = size * (rate if matrix else adam_rate)
            on = torch.tensor(own, device=parameter.device)
            groups.append(
                {"params": [parameter], "lr": on, "initial_lr": own, "matrix": matrix, "capturable": True}
            )
        super().__init__(groups, {})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            (weight,) = group["params"]
            if weight.grad is None:
                continue
            state = self.state[weight]
            if not state:
                state["step"] = torch.zeros((), device=weight.device)
                state["first"] = torch.zeros_like(weight)
                state["second"] = torch.zeros_like(weight)
            state["step"] += 1
            if group["matrix"]:
                first = state["first"].mul_(_MOMENTUM).add_(weight.grad)
                change = _orthogonal(weight.grad + _MOMENTUM * first)
            else:
                first = state["first"].lerp_(weight.grad, 0.1)
                second = state["second"].lerp_(weight.grad.square(), 0.001)
                count = state["step"]
                change = (first / (1 - 0.9**count)) / ((second / (1 - 0.999**count)).sqrt() + 1e-8)
            weight.sub_(group["lr"] * change)


def _orthogonal(change: Tensor) -> Tensor:
    """The nearest matrix with equal singular values, as large as Adam's steps are at their largest."""
    matrix = change.flatten(1).bfloat16() if change.is_cuda else change.flatten(1)
    tall = len(matrix) > matrix.shape[1]
    matrix = matrix.T if tall else matrix
    matrix = matrix / (matrix.norm() + 1e-12)
    a, b, c = _NEWTON_SCHULZ
    for _ in range(_STEPS):
        gram = matrix @ matrix.T
        matrix = a * matrix + (b * gram + c * gram @ gram) @ matrix
    matrix = matrix.T if tall else matrix
    return matrix.reshape(change.shape).float() * max(matrix.shape) ** 0.5


class MuonDistillation(Distillation):
    """Distillation that descends by Muon; a rate of it is a fifth of Adam's, whose steps are smaller."""

    share = 0.2

    def optimiser(self, network: nn.Module) -> torch.optim.Optimizer:
        return Muon(network, self.share * self.rate, self.rate)


def mixed(images: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """Images with a rectangle of another one (CutMix, Yun et al. 2019) in half of the batches."""

    def of(index: Tensor) -> Tensor:
        x = images(index)
        if float(torch.rand(())) < 0.5:
            return x
        side = float(torch.rand(()).sqrt())
        height, width = (max(1, round(side * n)) for n in x.shape[2:])
        top = int(torch.randint(x.shape[2] - height + 1, ()))
        left = int(torch.randint(x.shape[3] - width + 1, ()))
        x = x.clone()
        x[:, :, top : top + height, left : left + width] = x.flip(0)[
            :, :, top : top + height, left : left + width
        ]
        return x

    return of


@dataclass(frozen=True)
class Variant:
    """What a training differs in from ``train``'s."""

    rate: float = 0.004
    passes: int = 9
    batch: int = 32
    features: float = 1.0
    labels: bool = True
    norms: bool = False
    mix: bool = False
    muon: bool = False
    average: float = 0.98
    images: int | None = None  # the first of them; None: all
    relearned: tuple[int, int] = (1500, 1500)  # images and steps of the pass from bottom to top


VARIANTS = {
    "start": Variant(passes=0),
    "plain": Variant(),
    "rate-0.002": Variant(rate=0.002),
    "rate-0.008": Variant(rate=0.008),
    "features-0": Variant(features=0.0),
    "features-0.3": Variant(features=0.3),
    "no-labels": Variant(labels=False),
    "mix": Variant(labels=False, mix=True),
    "norms": Variant(norms=True),
    "norms-0.008": Variant(norms=True, rate=0.008),
    "norms-0.016": Variant(norms=True, rate=0.016),
    "muon": Variant(muon=True),
    "muon-0.008": Variant(muon=True, rate=0.008),
    "muon-0.016": Variant(muon=True, rate=0.016),
    "muon-norms-0.008": Variant(muon=True, norms=True, rate=0.008),
    "batch-16": Variant(batch=16),
    "batch-64": Variant(batch=64, rate=0.006),
    "few": Variant(labels=False, rate=0.001, passes=6, images=1000),
    "few-norms": Variant(labels=False, rate=0.001, passes=6, images=1000, norms=True),
    "few-norms-0.003": Variant(labels=False, rate=0.003, passes=6, images=1000, norms=True),
    "short": Variant(norms=True, rate=0.008, passes=5, relearned=(256, 60)),
    "passes-18": Variant(passes=18),
    "passes-36": Variant(passes=36),
    "muon-passes-18": Variant(passes=18, muon=True, rate=0.008),
    "average-0.995": Variant(average=0.995),
    "norms-mix-0.008": Variant(labels=False, norms=True, mix=True, rate=0.008),
    "muon-mix-0.008": Variant(labels=False, muon=True, mix=True, rate=0.008),
    "muon-features-0": Variant(muon=True, features=0.0, rate=0.008),
}
