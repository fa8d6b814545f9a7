"""The front of several studies: of one network on one target, searched in different ways."""

import math
from collections.abc import Sequence
from dataclasses import replace

from search.results.front import Front, front_of
from search.results.points import pareto, with_estimates
from search.study.recorded import Recorded
from search.study.records import NOISE, StudyRecord
from training.errors import BadInputError


def front_of_all(studies: Sequence[Recorded]) -> Front:
    """The front of one study, or of the trials of several together.

    Several have one untouched network, and narrow it, leave out sites or choose plans in different ways.

    Raises
    ------
    BadInputError
        A study has no finished trial, or cannot be compared with the first.
    """
    different = [study for number, study in enumerate(studies) if study not in studies[:number]]
    for study in different[1:]:
        _require_like(different[0], study)
    if len({study.name for study in different}) < len(different):
        raise BadInputError(f"two of the studies are named {different[0].name!r}; give one of them")
    first, *others = map(front_of, different)
    if not others:
        return first
    found = [point for front in (first, *others) for point in (*front.points, *front.others)]
    points = with_estimates(found, first.baseline["accuracy"])
    best = pareto(points)
    on_front = {(point.study, point.trial) for point in best}
    return replace(
        first,
        study=", ".join(sorted(study.name for study in different)),
        trials=len(points),
        accuracy_model=None,
        points=tuple(best),
        others=tuple(p for p in points if (p.study, p.trial) not in on_front),
    )


def _require_like(first: Recorded, other: Recorded) -> None:
    """Refuse studies whose figures cannot stand in one table."""
    ours, theirs = _compared(first.record), _compared(other.record)
    before, now = (study.record.baseline.cost.latency_ms for study in (first, other))
    different = [what for what in ours if ours[what] != theirs[what]]
    if not different and not math.isclose(before, now, rel_tol=NOISE):
        raise BadInputError(
            f"the untouched network takes {before:.3g} ms in study {first.name!r} and {now:.3g} ms in "
            f"{other.name!r}: they were made with other timings; search one of them anew"
        )
    if different:
        what = different[0]
        raise BadInputError(
            f"studies {first.name!r} and {other.name!r} differ in {what}: {ours[what]}, {theirs[what]}; "
            "give studies of one network, target and data"
        )


def _compared(record: StudyRecord) -> dict[str, object]:
    """What decides the figures of a study's trials."""
    return {
        "network": record.network,
        "part": record.model.within or "all",
        "target": record.target,
        "data": record.model.data,
        "images (`seed`, `max_images`, `input_size`)": record.data_fingerprint,
        "metric": record.proxy.metric,
        "steps of the proxy": record.proxy.finetune_steps,
        "training": "none" if record.model.zero_shot else "yes",
        "objectives": ", ".join(record.goals) or "latency, accuracy",
        "accuracy of the untouched network": f"{record.baseline.accuracy:.2f} %",
    }
