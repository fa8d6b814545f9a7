"""What plans reach after training, estimated from those that were trained.

A plan keeps a share of the untouched network's accuracy; training brings most of a small loss back, and less
of a large one. With k for the share that is kept, -ln k after training is c times (-ln k)^1.5 before it: one
number c, which the study's trained plans give. Fourteen trainings of plans of three networks, each left out
in turn, are missed by 0.8 % of the untouched accuracy on average (``benchmarks/recovery.py``).
"""

import math
from collections.abc import Sequence

_POWER = 1.5
# A study's first trained plans often lost too little to tell: what is usual weighs as much as one trained
# plan that keeps three quarters before training.
_USUAL, _WEIGHT = 0.09, (-math.log(0.75)) ** (2 * _POWER)
_LEAST = 0.001  # of the untouched accuracy: what keeps nothing at all has no logarithm


def recovery(trained: Sequence[tuple[float, float]]) -> float:
    """The number c, from shares kept before and after training."""
    lost = [(_lost(before) ** _POWER, _lost(after)) for before, after in trained]
    found = sum(before * after for before, after in lost) + _USUAL * _WEIGHT
    return found / (sum(before**2 for before, _ in lost) + _WEIGHT)


def kept_after(before: float, c: float) -> float:
    """The share that is kept after training, from that before it."""
    return math.exp(-c * _lost(before) ** _POWER)


def _lost(kept: float) -> float:
    return max(0.0, -math.log(max(kept, _LEAST)))
