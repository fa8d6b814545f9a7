"""Pareto fronts of latency and accuracy, their hypervolume, and expected improvements of it."""

from collections.abc import Iterable, Sequence
from statistics import NormalDist

import numpy as np

_QUANTILES = NormalDist().quantiles(65)


def hypervolume_area(plans: Iterable[tuple[float, float]], slowest_ms: float) -> float:
    """Area dominated by points (latency ms, accuracy), in milliseconds times percent."""
    area, floor = 0.0, 0.0
    for latency_ms, accuracy in pareto_front(plans):
        area += max(slowest_ms - latency_ms, 0.0) * (accuracy - floor)
        floor = accuracy
    return area


def pareto_front(plans: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
    """The points (latency ms, accuracy) that no other dominates, fastest first."""
    front: list[tuple[float, float]] = []
    for latency_ms, accuracy in sorted(plans, key=lambda plan: (plan[0], -plan[1])):
        if not front or accuracy > front[-1][1]:
            front.append((latency_ms, accuracy))
    return front


def expected_gains(
    front: Sequence[tuple[float, float]],
    slowest_ms: float,
    latencies_ms: np.ndarray,
    losses: np.ndarray,
    deviations: np.ndarray,
    accuracy: float,
    least_accuracy: float,
    worth_from: float,
) -> np.ndarray:
    """Expected growth of the area that a front dominates, for each plan (milliseconds times percent).

    Latencies (plans,) are known; accuracies are `accuracy` times exp(-loss), where losses are normal with
    these means and deviations (plans,). A plan below `least_accuracy` counts for nothing, and only the area
    above `worth_from` is counted.
    """
    floors = np.maximum([worth_from, *(reached for _, reached in front)], worth_from)
    ends = np.array([*(latency_ms for latency_ms, _ in front), slowest_ms])
    starts = np.concatenate([[-np.inf], ends[:-1]])
    widths = np.clip(ends - np.maximum(starts, latencies_ms[:, None]), 0.0, None)
    gains = np.zeros(len(latencies_ms))
    for quantile in _QUANTILES:
        kept = accuracy * np.exp(-np.maximum(losses + deviations * quantile, 0.0))
        risen = np.clip(kept[:, None] - floors, 0.0, None)
        gains += np.where(kept >= least_accuracy, (widths * risen).sum(axis=1), 0.0) / len(_QUANTILES)
    return gains


def costs_of(values: Sequence[float]) -> list[float]:
    """Those of a trial's values that are minimised: latency, then its goals."""
    return [values[0], *values[2:]]


def no_more(ours: Sequence[float], theirs: Sequence[float]) -> bool:
    """Whether every cost is at most the other's."""
    return all(a <= b for a, b in zip(ours, theirs, strict=True))
