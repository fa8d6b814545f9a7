"""Fronts and the choice of a plan."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.results.front import Front
from search.results.points import Point, hypervolume, pareto, with_estimates
from search.results.selection import select
from search.results.tables import write_csv
from training.errors import BadInputError

BASE = {"latency_ms": 100.0, "accuracy": 90.0}


def point(trial: int, latency_ms: float, accuracy: float, memory: float | None = None) -> Point:
    return Point(
        study="s",
        trial=trial,
        plan_id=f"p{trial}",
        latency_ms=latency_ms,
        speedup=100 / latency_ms,
        accuracy=accuracy,
        drop=90 - accuracy,
        top1=accuracy,
        top1_standard_error=0.5,
        macs=0,
        parameters=0,
        kind="measured",
        latency_error=0.0,
        merged=latency_ms < 100,
        goals={} if memory is None else {"memory (MiB)": memory},
    )


POINTS = st.lists(
    st.builds(point, st.integers(0, 99), st.floats(1, 200), st.floats(0, 100)), min_size=1, max_size=30
)


@given(points=POINTS)
def test_nothing_beats_a_point_of_the_front_and_all_others_are_beaten(points: list[Point]) -> None:
    front = pareto(points)
    for p in points:
        beaten = any(q.latency_ms <= p.latency_ms and q.accuracy >= p.accuracy for q in front)
        assert beaten
    for p in front:
        assert not any(
            q.latency_ms <= p.latency_ms
            and q.accuracy >= p.accuracy
            and (q.latency_ms, q.accuracy) != (p.latency_ms, p.accuracy)
            for q in points
        )
    assert [p.latency_ms for p in front] == sorted((p.latency_ms for p in front), reverse=True)


MANY = st.lists(
    st.builds(point, st.integers(0, 99), st.floats(1, 5), st.floats(0, 5), st.integers(1, 5)),
    min_size=1,
    max_size=30,
)


@given(points=MANY)
def test_with_a_third_goal_the_front_is_what_no_other_point_beats_in_all(points: list[Point]) -> None:
    def beats(p: Point, q: Point) -> bool:
        no_worse = p.accuracy >= q.accuracy and all(a <= b for a, b in zip(p.costs, q.costs, strict=True))
        return no_worse and (p.accuracy, p.costs) != (q.accuracy, q.costs)

    front = pareto(points)
    assert not any(beats(p, q) for p in points for q in front)
    assert all(
        any(beats(q, p) or (q.accuracy, q.costs) == (p.accuracy, p.costs) for q in front) for p in points
    )
    assert len({(p.accuracy, *p.costs) for p in front}) == len(front)


def test_a_plan_that_is_no_faster_is_not_proposed() -> None:
    assert replace(FRONT, points=(point(1, 99.8, 89.0),)).knee is None  # shown as 1.00x


@given(points=POINTS, more=POINTS)
def test_hypervolume_never_shrinks_with_more_points(points: list[Point], more: list[Point]) -> None:
    assert hypervolume(points, BASE) <= hypervolume([*points, *more], BASE) + 1e-9


FRONT = Front(
    "s",
    "n",
    "t",
    "top1",
    False,
    "",
    "",
    4,
    BASE,
    None,
    tuple(pareto([point(0, 100, 90), point(1, 50, 89.5), point(2, 30, 85)])),
    (point(3, 60, 80),),
)


@pytest.mark.parametrize(
    ("wish", "trial"),
    [
        ({"trial": 3}, 3),
        ({"trial": 1}, 1),
        ({"max_drop": 0.5}, 1),
        ({"max_drop": 9}, 2),
        ({"max_drop": 0.49}, None),
        ({"max_latency": "60ms"}, 1),
        ({"max_latency": "31%"}, 2),
        ({"max_latency": "200%"}, 1),
        ({"speedup": 1.5}, 1),
        ({"speedup": 3.33}, 2),  # 3.3333, shown as 3.33x
        ({"trial": 0}, None),
    ],
)
def test_a_wish_selects_the_best_plan_within_it_but_not_the_untouched_network(
    wish: dict[str, Any], trial: int | None
) -> None:
    if trial is not None:
        assert select(FRONT, **wish).trial == trial
        return
    with pytest.raises(BadInputError, match=r"untouched network.*merges nothing.*2\.00x.*trial 1"):
        select(FRONT, **wish)


def test_the_knee_saves_most_for_least() -> None:
    assert FRONT.knee is not None
    assert FRONT.knee.trial == 1
    assert replace(FRONT, points=FRONT.points[:1]).knee is None
    lossless = replace(FRONT, points=(point(0, 100, 90), point(4, 40, 91)))
    assert lossless.knee is not None
    assert lossless.knee.change == "gains 1.00"


@pytest.mark.parametrize(
    ("wish", "words"),
    [
        ({}, "exactly one"),
        ({"max_drop": float("nan")}, "`max_drop` is nan; expected a number"),
        ({"speedup": -2}, "`speedup` is -2; expected a number above 0"),
        ({"trial": 1, "speedup": 2}, "exactly one"),
        ({"trial": 99}, "no finished trial 99"),
        ({"max_latency": "5ms"}, "takes at most 5ms.*the fastest has 3.33x"),
        ({"max_latency": "5"}, "expected milliseconds as 40ms"),
        ({"speedup": 50}, "the fastest has 3.33x"),
        ({"max_drop": -1}, "loses 0.50"),
    ],
)
def test_a_wish_that_cannot_be_fulfilled_says_what_can(wish: dict[str, Any], words: str) -> None:
    with pytest.raises(BadInputError, match=words):
        select(FRONT, **wish)


def trained(points: tuple[Point, ...], *values: float) -> Front:
    """The front after its last plans were trained; the untouched network then has 95 %."""
    after = [{"value": value, "untouched": 95.0, "interval": None, "passes": 4} for value in values]
    last = [replace(p, after=found) for p, found in zip(points[-len(values) :], after, strict=True)]
    return replace(FRONT, points=tuple(with_estimates([*points[: -len(values)], *last], BASE["accuracy"])))


def test_what_plans_lose_after_training_is_estimated_from_those_that_were_trained() -> None:
    found = trained(FRONT.points, 94.0)
    drops = [p.drop_after for p in found.points]
    assert drops[0] == 0, "the untouched network"
    assert drops[2] == 1
    assert drops[1] is not None
    assert 0 < drops[1] < 0.1, "of half a point before training nearly nothing is left"
    assert [found.trained(p) for p in found.points] == ["95.00", "~95.0", "94.00"]
    assert trained(FRONT.points, 94.8, 94.0).points[1].drop_after == pytest.approx(0.2), "as it was trained"
    assert not any(FRONT.trained(p) for p in FRONT.points)


@given(points=POINTS, value=st.floats(0.1, 100))
def test_no_estimate_turns_the_order_of_plans_round(points: list[Point], value: float) -> None:
    numbered = [replace(p, trial=number) for number, p in enumerate(points)]
    found = trained((*numbered, point(99, 40, 30)), value).points[:-1]
    ordered = sorted(found, key=lambda p: p.accuracy)
    drops = [p.expected_drop for p in ordered]
    assert all(first >= second - 1e-9 for first, second in pairwise(drops))
    assert all(0 <= drop <= 95 for drop in drops)


def test_a_drop_after_training_selects_a_faster_plan() -> None:
    found = trained(FRONT.points, 94.0)
    assert select(found, max_drop=1, after_training=True).trial == 2
    assert select(found, max_drop=0.9, after_training=True).trial == 1
    assert select(found, max_drop=1).trial == 1
    with pytest.raises(BadInputError, match=r"after training.*loses 1\.00 \(trial 2\)"):
        select(replace(found, points=found.points[2:]), max_drop=0.5, after_training=True)
    with pytest.raises(BadInputError, match=r"no plan of study .* was trained.*--finish 3"):
        select(FRONT, max_drop=1, after_training=True)
    with pytest.raises(BadInputError, match="what `max_drop` means; give that too"):
        select(found, speedup=2, after_training=True)


@pytest.mark.parametrize(("value", "written"), [("=1+1", "'=1+1"), ("@sum", "'@sum"), ("kept", "kept")])
def test_a_cell_is_no_formula(value: str, written: str, tmp_path: Path) -> None:
    odd = replace(point(1, 5.0, 80.0), kind=value)
    front = Front("s", "n", "t", "top1", False, "", "", 1, BASE, None, (odd,), ())
    write_csv(front, tmp_path / "f.csv")
    assert pd.read_csv(tmp_path / "f.csv")["kind"].tolist() == [written]
