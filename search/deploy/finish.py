"""Short standard trainings of the plans that people choose among: what they reach, not what a proxy says."""

import re
import time
from collections.abc import Sequence
from pathlib import Path

from search.deploy.train import Training, train
from search.deploy.trained import Trained
from search.results.front import Front
from search.results.joined import front_of_all
from search.results.planfile import PlanFile
from search.results.points import Point
from search.results.selection import within
from search.study import recorded
from search.study.after import After
from search.study.study import open_study
from training.files import digest
from training.progress import Session

PASSES = 4
_NOT_IN_NAMES = re.compile(r"[^\w.-]")


def missing(front: Front, count: int) -> int:
    """How many plans of a front are left to train until so many are."""
    merged = [p for p in front.points if p.merged] if front.knee else []
    return max(0, min(count, len(merged)) - sum(p.after is not None for p in merged))


def next_plan(front: Front, max_drop: float | None) -> Point:
    """The plan to train next: the fastest within the wanted drop, the front's knee, or one near it.

    Drops are those after training as soon as one plan was trained, so every training tells where the next
    one is worth most.
    """
    merged, knee = [p for p in front.points if p.merged], front.knee
    assert knee is not None, "a plan is missing"
    middle = merged.index(knee)
    wanted = within(front, max_drop, after_training=True)[:1] if max_drop is not None else []
    near = sorted(merged, key=lambda p: abs(merged.index(p) - middle))
    return next(p for p in (*wanted, *near) if p.merged and p.after is None)


def front_of_named(names: Sequence[str], storage: str) -> Front:
    """The front of studies as they stand now."""
    return front_of_all([recorded.read(name, storage) for name in names])


def finish(names: Sequence[str], storage: str, left: int, max_drop: float | None, session: Session) -> None:
    """Train so many plans of studies for some passes, and record what they reach on the test images.

    Every run is kept, and goes on where it was interrupted. Code that the study names is run: the search
    that comes before has been given it.

    Raises
    ------
    BadInputError
        A plan cannot be trained: see ``train``.
    """
    for number in range(left):
        point = next_plan(front_of_named(names, storage), max_drop)
        where = f"trial {point.trial}" + (f" of {point.study}" if len(names) > 1 else "")
        session.note(f"training {where} ({point.speedup:.2f}x), {number + 1} of {left}")
        study = recorded.read(point.study, storage)
        plan = PlanFile.of_trial(study, point)
        setup, training = Training.of(plan, {"epochs": PASSES, "trust": True})
        known = [plan.study, plan.trial, plan.choices, setup.model_dump(mode="json"), PASSES]
        folder = f"{_NOT_IN_NAMES.sub('-', point.study)[:60]}-{point.trial}-{digest(known)}"
        out, start = session.home / "runs" / folder, time.monotonic()
        trained = train(plan, setup, training, out, session)
        _after(trained, out, time.monotonic() - start).write(open_study(point.study, storage), point.trial)


def _after(trained: Trained, out: Path, seconds: float) -> After:
    merged, teacher = trained.merged.accuracy, trained.teacher.accuracy
    return After(
        passes=PASSES,
        value=merged.top1 if merged else trained.merged.value,
        interval=merged.interval(merged.top1) if merged else None,
        untouched=teacher.top1 if teacher else trained.teacher.value,
        images=trained.images,
        run=str(out.absolute()),
        seconds=seconds,
    )
