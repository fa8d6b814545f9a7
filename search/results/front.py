"""Reads the Pareto front of a study from its database, and selects a plan."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from search.pareto import hypervolume_area, no_more
from search.results.recovery import kept_after, recovery
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
    (percent), where answers judge. `merged` says whether it is not the untouched network. `after` is what it
    reaches after a short training, as ``search.study.after.After`` has it; `drop_after` what it then loses,
    which is estimated where other plans of the study were trained and this one was not.
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
    def studies(self) -> list[str]:
        """Names of the studies that its trials are of."""
        return sorted({point.study for point in (*self.points, *self.others)})

    @property
    def columns(self) -> list[str]:
        """Titles of the goals that tables show in columns of their own."""
        return [title for title in self.goals if title != PARAMETERS]

    @property
    def after(self) -> dict[str, Any] | None:
        """What one of the plans reaches after training, where one was trained."""
        return next((p.after for p in (*self.points, *self.others) if p.after), None)

    def trained(self, point: Point) -> str:
        """What a plan reaches after training, in words; empty if that is not known."""
        if self.after is None or point.drop_after is None:
            return ""
        if point.after is None and point.merged:
            return f"~{self.after['untouched'] - point.drop_after:.1f}"
        after = point.after or {"value": self.after["untouched"], "interval": None}
        low, high = after["interval"] or (None, None)
        span = "" if low is None else f" ({low:.1f} - {high:.1f})"
        return f"{after['value']:.2f}{span}"

    def change_of(self, point: Point) -> str:
        """What a plan loses, in words, with when that is: after training where it is known or estimated."""
        if self.zero_shot:
            return point.change
        if point.drop_after is None:
            return f"{point.change} before training"
        return f"{change(point.drop_after)} after training" + (" (estimated)" if point.after is None else "")

    @property
    def knee(self) -> Point | None:
        """The plan where the front bends: it saves most of the time for the least of the accuracy.

        Time saved and accuracy lost (after training where some plans were trained) are counted in shares of
        the most on the front. None if no plan on the front is faster than the untouched network, as its
        speed-up is shown.
        """
        merged = [p for p in self.points if p.merged and round(p.speedup, 2) > 1]
        most_ms = max((self.baseline["latency_ms"] - p.latency_ms for p in merged), default=0.0)
        most_lost = max((p.expected_drop for p in merged), default=0.0)

        def gain(p: Point) -> float:
            saved = (self.baseline["latency_ms"] - p.latency_ms) / most_ms if most_ms > 0 else 0.0
            return saved - (max(p.expected_drop, 0.0) / most_lost if most_lost > 0 else 0.0)

        return max(merged, key=gain, default=None)

    def answer(self) -> dict[str, Any]:
        """The ``--json`` form."""
        values = asdict(self)
        del values["others"]
        knee = {"knee": self.knee.trial if self.knee else None}
        knee_of = {"knee_study": self.knee.study if self.knee else None}
        return values | {"studies": self.studies} | knee | knee_of


def front_of(study: Recorded) -> Front:
    """The front of the finished trials.

    Raises
    ------
    BadInputError
        No trial has finished.
    """
    made = study.record
    points = with_estimates([_point(trial, study) for trial in study.trials], made.baseline.accuracy)
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


def _point(trial: Finished, study: Recorded) -> Point:
    latency_ms, accuracy, *reached = trial.values
    found, made, after = trial.record, study.record, study.after.get(trial.number)
    return Point(
        study=study.name,
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
        merged=bool(found.plan or made.model.narrow),
        kept=found.kept,
        goals=dict(zip(made.goals, reached, strict=True)),
        after=after.model_dump(mode="json") if after else None,
    )


def with_estimates(points: list[Point], untouched: float) -> list[Point]:
    """The points with what each loses after training, where some of them were trained."""
    trained = [(p.accuracy / untouched, p.after) for p in points if p.after and p.after["untouched"] > 0]
    if not trained:
        return points
    c = recovery([(before, after["value"] / after["untouched"]) for before, after in trained])
    base = trained[0][1]["untouched"]

    def lost(point: Point) -> float:
        if point.after and point.after["untouched"] > 0:
            return float(point.after["untouched"] - point.after["value"])
        return float(base * (1 - kept_after(point.accuracy / untouched, c)))

    return [replace(p, drop_after=lost(p)) for p in points]


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
