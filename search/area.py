"""What plans dominate: one another, and the area between their front, the slowest latency and no accuracy."""

from collections.abc import Iterable, Sequence


def dominated(plans: Iterable[tuple[float, float]], slowest_ms: float) -> float:
    """Area that some (latency ms, accuracy) dominate, in milliseconds times percent."""
    area, floor = 0.0, 0.0
    for latency_ms, accuracy in sorted(plans):
        if latency_ms < slowest_ms and accuracy > floor:
            area += (slowest_ms - latency_ms) * (accuracy - floor)
            floor = accuracy
    return area


def costs_of(values: Sequence[float]) -> list[float]:
    """Of a trial's values, those that shall be small: latency, then its goals."""
    return [values[0], *values[2:]]


def no_more(ours: Sequence[float], theirs: Sequence[float]) -> bool:
    """Whether no cost is larger than the other's."""
    return all(a <= b for a, b in zip(ours, theirs, strict=True))
