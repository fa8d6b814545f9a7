"""Reads the Pareto front of a study from its database, and selects a plan."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from search.pareto import hypervolume_area, no_more
from search.space.limits import latency_in_ms
from search.study.recorded import Finished, Recorded
from search.study.records import StudyRecord
from search.titles import PARAMETERS
from training.errors import BadInputError
from training.metric import Metric


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
    (percent), where answers judge. `merged` says whether the plan merges anything.
    """

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

    @property
    def change(self) -> str:
        """The drop in words."""
        return change(self.drop)

    @property
    def costs(self) -> list[float]:
        """The objectives to minimise."""
        return [self.latency_ms, *self.goals.values()]


@dataclass(frozen=True)
class Front:
    """A study's front, fastest plan last, with the untouched network as baseline.

    `accuracy_model` holds how well the accuracy model ranks unseen plans: Spearman's rank correlation between
    each trial's accuracy and its prediction from all other trials.
    """

    study: str
    network: str
    target: str
    metric: Metric
    zero_shot: bool
    latency_source: str
    latency_basis: str
    trials: int
    baseline: dict[str, float]
    accuracy_model: dict[str, float] | None
    points: tuple[Point, ...]
    others: tuple[Point, ...]
    goals: dict[str, float] = field(default_factory=dict)

    @property
    def columns(self) -> list[str]:
        """Titles of the goals that tables show in columns of their own."""
        return [title for title in self.goals if title != PARAMETERS]

    @property
    def knee(self) -> Point | None:
        """The plan where the front bends: it saves most of the time for the least of the accuracy.

        Time saved and accuracy lost are counted in shares of the most on the front. None if no plan on the
        front merges anything.
        """
        merged = [p for p in self.points if p.merged]
        most_ms = max((self.baseline["latency_ms"] - p.latency_ms for p in merged), default=0.0)
        most_lost = max((p.drop for p in merged), default=0.0)

        def gain(p: Point) -> float:
            saved = (self.baseline["latency_ms"] - p.latency_ms) / most_ms if most_ms > 0 else 0.0
            return saved - (p.drop / most_lost if most_lost > 0 else 0.0)

        return max(merged, key=gain, default=None)

    def answer(self) -> dict[str, Any]:
        """The ``--json`` form."""
        values = asdict(self)
        del values["others"]
        return values | {"knee": self.knee.trial if self.knee else None}


def front_of(study: Recorded) -> Front:
    """The front of the finished trials.

    Raises
    ------
    BadInputError
        No trial has finished.
    """
    made = study.record
    points = [_point(trial, made) for trial in study.trials]
    if not points:
        raise BadInputError(f"study {study.name!r} has no finished trial; run 'search' on it")
    best = pareto(points)
    on_front = {point.trial for point in best}
    return Front(
        study=study.name,
        network=made.network,
        target=made.target,
        metric=made.proxy.metric,
        zero_shot=made.model.zero_shot,
        latency_source=made.latency_source,
        latency_basis=made.baseline.cost.basis,
        trials=len(points),
        baseline=_baseline(made),
        goals=made.baseline.goals,
        accuracy_model=study.accuracy_model,
        points=tuple(best),
        others=tuple(p for p in points if p.trial not in on_front),
    )


def _baseline(made: StudyRecord) -> dict[str, float]:
    base = made.baseline
    known = {"latency_ms": base.cost.latency_ms, "accuracy": base.accuracy}
    return known | ({"top1": base.accuracies.top1} if base.accuracies else {})


def _point(trial: Finished, made: StudyRecord) -> Point:
    latency_ms, accuracy, *reached = trial.values
    found = trial.record
    return Point(
        trial=trial.number,
        plan_id=found.plan_id,
        latency_ms=latency_ms,
        speedup=made.baseline.cost.latency_ms / latency_ms,
        accuracy=accuracy,
        drop=made.baseline.accuracy - accuracy,
        top1=found.accuracies.top1 if found.accuracies else None,
        top1_standard_error=found.accuracies.top1_standard_error if found.accuracies else None,
        macs=found.cost.macs,
        parameters=found.cost.parameters,
        kind=found.cost.kind,
        latency_error=found.cost.error,
        merged=bool(found.plan),
        kept=found.kept,
        goals=dict(zip(made.goals, reached, strict=True)),
    )


def pareto(points: Sequence[Point]) -> list[Point]:
    """The points that no other dominates, slowest first."""
    front: list[Point] = []
    for point in sorted(points, key=lambda p: (p.costs, -p.accuracy, p.trial)):
        if not any(other.accuracy >= point.accuracy and no_more(other.costs, point.costs) for other in front):
            front.append(point)
    return front[::-1]


def hypervolume(points: Sequence[Point], baseline: dict[str, float]) -> float:
    """Hypervolume of the front, as a share of the area below the untouched network."""
    area = hypervolume_area([(p.latency_ms, p.accuracy) for p in points], baseline["latency_ms"])
    return area / (baseline["latency_ms"] * baseline["accuracy"])


def select(
    front: Front,
    trial: int | None = None,
    max_drop: float | None = None,
    max_latency: str | None = None,
    speedup: float | None = None,
) -> Point:
    """Select one finished trial: by number, or the best on the front within a limit.

    Limits are compared with the figures as they are shown, with two decimals.

    Raises
    ------
    BadInputError
        Not exactly one limit is given, no plan meets it, or only the untouched network does.
    """
    wishes = [wish for wish in (trial, max_drop, max_latency, speedup) if wish is not None]
    if len(wishes) != 1:
        raise BadInputError("give exactly one of `trial`, `max_drop`, `max_latency` or `speedup`")
    if trial is not None:
        return _numbered(front, trial)
    if max_drop is not None:
        fitting = [p for p in front.points[::-1] if round(p.drop, 2) <= max_drop]
        return _first(front, fitting, f"loses at most {max_drop} points before training")
    by_accuracy = sorted(front.points, key=lambda p: -p.accuracy)
    if max_latency is not None:
        most_ms = latency_in_ms(max_latency, front.baseline["latency_ms"])
        fitting = [p for p in by_accuracy if round(p.latency_ms, 2) <= most_ms]
        return _first(front, fitting, f"takes at most {max_latency}")
    assert speedup is not None
    fitting = [p for p in by_accuracy if round(p.speedup, 2) >= speedup]
    return _first(front, fitting, f"is {speedup}x as fast")


def _numbered(front: Front, trial: int) -> Point:
    found = next((p for p in (*front.points, *front.others) if p.trial == trial), None)
    if found is None:
        raise BadInputError(
            f"study {front.study!r} has no finished trial {trial}; 'front' lists those on the front"
        )
    if not found.merged:
        raise BadInputError(f"trial {trial} is the untouched network: it merges nothing. {_offer(front)}")
    return found


def _first(front: Front, fitting: Sequence[Point], wish: str) -> Point:
    merging = [p for p in fitting if p.merged]
    if not merging:
        who = "only the untouched network, which merges nothing," if fitting else "no plan on the front"
        raise BadInputError(f"{who} {wish}. {_offer(front)}")
    return merging[0]


def _offer(front: Front) -> str:
    """What else there is."""
    merged, knee = [p for p in front.points if p.merged], front.knee
    if knee is None:
        return "No plan on the front merges anything; search on, with more trials or wider limits"
    ends = (("the least changed", merged[0]), ("its knee", knee), ("the fastest", merged[-1]))
    plans = {p.trial: f"{what} has {p.speedup:.2f}x and {p.change} (trial {p.trial})" for what, p in ends}
    return f"The front offers: {'; '.join(plans.values())}"
