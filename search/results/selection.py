"""Selects one plan of a front, by a wish of the user's."""

import math
from collections.abc import Sequence

from search.results.front import Front
from search.results.points import Point, change, worth_in
from search.space.limits import latency_in_ms
from training.errors import BadInputError


def select(
    front: Front,
    trial: int | None = None,
    max_drop: float | None = None,
    max_latency: str | None = None,
    speedup: float | None = None,
    after_training: bool = False,
) -> Point:
    """Select one finished trial: by number, or the best on the front within a limit.

    Limits are compared with the figures as they are shown, with two decimals; `after_training` makes
    `max_drop` one of drops after training, which are estimated for plans that were not trained.

    Raises
    ------
    BadInputError
        Not exactly one limit is given, no plan meets it, or only the untouched network does; no plan was
        trained.
    """
    wishes = [wish for wish in (trial, max_drop, max_latency, speedup) if wish is not None]
    if len(wishes) != 1:
        raise BadInputError("give exactly one of `trial`, `max_drop`, `max_latency` or `speedup`")
    for name, value in (("max_drop", max_drop), ("speedup", speedup)):
        if value is not None and not math.isfinite(value):
            raise BadInputError(f"`{name}` is {value}; expected a number")
    if speedup is not None and speedup <= 0:
        raise BadInputError(f"`speedup` is {speedup:g}; expected a number above 0, such as 1.7")
    if after_training:
        _require_trained(front, max_drop)
    if trial is not None:
        return _numbered(front, trial)
    if max_drop is not None:
        when = "after training" if after_training else "before training"
        fitting = within(front, max_drop, after_training)
        return _first(front, fitting, f"loses at most {max_drop:g} points {when}", after_training)
    worth = worth_in((*front.points, *front.others))
    by_accuracy = sorted(front.points, key=lambda p: -worth(p))
    if max_latency is not None:
        most_ms = latency_in_ms(max_latency, front.baseline["latency_ms"])
        fitting = [p for p in by_accuracy if round(p.latency_ms, 2) <= most_ms]
        return _first(front, fitting, f"takes at most {max_latency}")
    assert speedup is not None
    fitting = [p for p in by_accuracy if round(p.speedup, 2) >= speedup]
    return _first(front, fitting, f"is {speedup}x as fast")


def within(front: Front, max_drop: float, after_training: bool = False) -> list[Point]:
    """The plans on the front that lose at most so much, as drops are shown; the fastest first."""
    return [p for p in front.points[::-1] if round(_drop(p, after_training), 2) <= max_drop]


def _drop(point: Point, after_training: bool) -> float:
    return point.expected_drop if after_training else point.drop


def _numbered(front: Front, trial: int) -> Point:
    if len(front.studies) > 1:
        raise BadInputError(f"`trial` {trial} is one of each study; give one `study` with it")
    found = next((p for p in (*front.points, *front.others) if p.trial == trial), None)
    if found is None:
        raise BadInputError(
            f"study {front.study!r} has no finished trial {trial}; 'front' lists those on the front"
        )
    if not found.merged:
        raise BadInputError(f"trial {trial} is the untouched network: it merges nothing. {_offer(front)}")
    return found


def _first(front: Front, fitting: Sequence[Point], wish: str, after_training: bool = False) -> Point:
    merging = [p for p in fitting if p.merged]
    if not merging:
        who = "only the untouched network, which merges nothing," if fitting else "no plan on the front"
        raise BadInputError(f"{who} {wish}. {_offer(front, after_training)}")
    return merging[0]


def _offer(front: Front, after_training: bool = False) -> str:
    """What else there is."""
    merged, knee = [p for p in front.points if p.merged], front.knee
    if knee is None:
        return "No plan on the front is faster; search on, with more trials or wider limits"
    ends = (("the least changed", merged[0]), ("its knee", knee), ("the fastest", merged[-1]))
    plans: dict[str, str] = {}
    for what, p in ends:
        where = f"trial {p.trial}" + (f" of {p.study}" if len(front.studies) > 1 else "")
        plans[where] = f"{what} has {p.speedup:.2f}x and {change(_drop(p, after_training))} ({where})"
    return f"The front offers: {'; '.join(plans.values())}"


def _require_trained(front: Front, max_drop: float | None) -> None:
    if max_drop is None:
        raise BadInputError("`after_training` says what `max_drop` means; give that too")
    if front.after is None and not front.mixed:
        raise BadInputError(
            f"no plan of study {' or '.join(map(repr, front.studies))} was trained, so nothing is known of "
            "drops after training; 'search --finish 3' trains some"
        )
