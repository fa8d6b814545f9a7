"""What plans reach after training, estimated from those that were trained.

A plan keeps a share of the untouched network's accuracy; training brings most of a small loss back, and less
of a large one. With k for the share that is kept, -ln k after training is c times (-ln k)^1.5 before it. What
narrowing loses comes back worse than what merging loses: with n for the share that the narrowed network keeps
with nothing merged, a times the root of -ln n is lost on top, and merging keeps k / n. The study's trained
plans give a and c. Thirty-three trainings of plans of three networks, each left out in turn, are missed by
0.8 % of the untouched accuracy on average (``benchmarks/recovery.py``).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

_POWER = 1.5
_USUAL = np.array([0.115, 0.09])  # a and c
# A study's first trained plans often lost too little to tell: what is usual weighs as much as one trained
# plan that was narrowed and keeps 95 %, or merged and keeps three quarters before training.
_WEIGHTS = np.array([-math.log(0.95), (-math.log(0.75)) ** (2 * _POWER)])
_LEAST = 0.001  # of the untouched accuracy: what keeps nothing at all has no logarithm


@dataclass(frozen=True)
class Kept:
    """Shares of the untouched accuracy before training: of a plan, and of its network with nothing merged."""

    plan: float
    unmerged: float = 1.0

    @property
    def terms(self) -> tuple[float, float]:
        """What a and c are multiplied with."""
        return math.sqrt(_lost(self.unmerged)), _lost(self.plan / max(self.unmerged, _LEAST)) ** _POWER


def recovery(trained: Sequence[tuple[Kept, float]]) -> np.ndarray:
    """The numbers a and c, from shares kept before and after training."""
    before = np.array([kept.terms for kept, _ in trained]).reshape(-1, 2)
    after = np.array([_lost(share) for _, share in trained])
    weights = before.T @ before + np.diag(_WEIGHTS)
    return np.linalg.solve(weights, before.T @ after + _WEIGHTS * _USUAL).clip(min=0.0)


def kept_after(before: Kept, found: np.ndarray) -> float:
    """The share that is kept after training, from those before it."""
    return math.exp(-float(found @ before.terms))


def _lost(kept: float) -> float:
    return max(0.0, -math.log(max(kept, _LEAST)))
