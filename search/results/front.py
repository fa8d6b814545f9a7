"""Reads the Pareto front of a study from its database."""

from dataclasses import asdict, dataclass, field
from typing import Any

from search.results.points import Point, change, mixed, pareto, with_estimates
from search.study.recorded import Finished, Recorded
from search.study.records import StudyRecord
from search.titles import PARAMETERS
from training.errors import BadInputError
from training.metric import Metric


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
    def mixed(self) -> bool:
        """Whether plans are compared by what they are expected to lose after training: see ``mixed``."""
        return mixed((*self.points, *self.others))

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
        if point.drop_after is None:
            return ""
        if self.after is None:
            return f"loses ~{point.drop_after:.1f}"
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
        narrow=made.model.narrow,
    )
