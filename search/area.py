"""How much a set of plans dominates: the area between their front, the slowest latency and no accuracy."""

from collections.abc import Iterable


def dominated(plans: Iterable[tuple[float, float]], slowest_ms: float) -> float:
    """Area that some (latency ms, accuracy) dominate, in milliseconds times percent."""
    area, floor = 0.0, 0.0
    for latency_ms, accuracy in sorted(plans):
        if latency_ms < slowest_ms and accuracy > floor:
            area += (slowest_ms - latency_ms) * (accuracy - floor)
            floor = accuracy
    return area
