"""Finished trials as points: latency and accuracy, what they may reach after training, and which are best."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from search.pareto import hypervolume_area, no_more
from search.results.recovery import Kept, kept_after, recovery


def change(drop: float) -> str:
    """A drop in words, such as "loses 1.20"."""
    rounded = round(drop, 2)
    return (
        f"loses {rounded:.2f}" if rounded > 0 else f"gains {-rounded:.2f}" if rounded < 0 else "loses nothing"
    )


@dataclass(frozen=True)
class Point:
    """One finished trial. Accuracies and drops in percent (points), latency in milliseconds.

    `accuracy` and `drop` are by the study's metric; `top1` is None if plans were judged without images.
    `kind` is the weakest evidence that the latency is based on, `latency_error` its expected relative error.
    `goals` are the study's further goals, by title with unit; `kept` is the share of each output that is kept
    (percent), where answers judge. `merged` says whether it is not the untouched network. `after` is what it
    reaches after a short training, as ``search.study.after.After`` has it; `drop_after` what it then loses,
    which may be estimated: see ``with_estimates``. `narrow` is the share of the channels that the network
    was narrowed to.
    """

    study: str
    trial: int
    plan_id: str
    latency_ms: float
    speedup: float
    accuracy: float
    drop: float
    top1: float | None
    top1_standard_error: float | None
    macs: int
    parameters: int
    kind: str
    latency_error: float
    merged: bool
    kept: dict[str, float] = field(default_factory=dict)
    goals: dict[str, float] = field(default_factory=dict)
    after: dict[str, Any] | None = None
    drop_after: float | None = None
    narrow: float | None = None

    @property
    def expected_drop(self) -> float:
        """What it loses after training where that is known or estimated, else before it."""
        return self.drop if self.drop_after is None else self.drop_after

    @property
    def change(self) -> str:
        """The drop in words."""
        return change(self.drop)

    @property
    def costs(self) -> list[float]:
        """The objectives to minimise."""
        return [self.latency_ms, *self.goals.values()]


def mixed(points: Iterable[Point]) -> bool:
    """Whether plans of networks that were narrowed differently stand together: training recovers less of
    what narrowing lost than of what merging lost."""
    return len({point.narrow for point in points}) > 1


def worth_in(points: Iterable[Point]) -> Callable[[Point], float]:
    """By what these plans are compared, the larger the better.

    It is their accuracy before training, or, where they are mixed, what they are expected to lose after it.
    """
    return (lambda p: -p.expected_drop) if mixed(points) else (lambda p: p.accuracy)


def with_estimates(points: Sequence[Point], untouched: float) -> list[Point]:
    """The points with what each loses after training, where some of them were trained, or they are mixed."""
    trained = [p for p in points if p.after and p.after["untouched"] > 0]
    if not trained and not mixed(points):
        return list(points)
    best: dict[str, float] = {}
    for p in points:
        best[p.study] = max(p.accuracy if p.narrow else untouched, best.get(p.study, 0.0))

    def kept(point: Point) -> Kept:
        return Kept(point.accuracy / untouched, min(1.0, best[point.study] / untouched))

    found = recovery([(kept(p), p.after["value"] / p.after["untouched"]) for p in trained if p.after])
    base = trained[0].after["untouched"] if trained and trained[0].after else untouched

    def lost(point: Point) -> float:
        if point.after and point.after["untouched"] > 0:
            return float(point.after["untouched"] - point.after["value"])
        return float(base * (1 - kept_after(kept(point), found)))

    return [replace(p, drop_after=lost(p)) for p in points]


def pareto(points: Sequence[Point]) -> list[Point]:
    """The points that no other dominates, slowest first."""
    worth, front = worth_in(points), list[Point]()
    for point in sorted(points, key=lambda p: (p.costs, -worth(p), p.trial)):
        if not any(worth(other) >= worth(point) and no_more(other.costs, point.costs) for other in front):
            front.append(point)
    return front[::-1]


def hypervolume(points: Sequence[Point], baseline: dict[str, float]) -> float:
    """Hypervolume of the front, as a share of the area below the untouched network."""
    area = hypervolume_area([(p.latency_ms, p.accuracy) for p in points], baseline["latency_ms"])
    return area / (baseline["latency_ms"] * baseline["accuracy"])
