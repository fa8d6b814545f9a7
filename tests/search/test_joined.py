"""Several studies of one network, shown and chosen from together."""

from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.results.joined import front_of_all
from search.results.planfile import PlanFile
from search.results.points import pareto
from search.results.selection import select
from search.results.tables import front_table, next_commands
from search.study.after import After
from search.study.recorded import Finished, Recorded
from search.study.records import StudyRecord, TrialRecord
from tests.recorded import accuracies, cost, study_record
from training.config import ModelConfig
from training.errors import BadInputError

Reached = list[tuple[float, float]]


def study(name: str, reached: Reached, **record: Any) -> Recorded:
    """A study whose trials take so long (ms) and are so good (percent); untouched: 10 ms, 90 %."""
    trials = [_finished(number, *values) for number, values in enumerate(reached)]
    made = study_record(cost(10.0), 90.0)
    return Recorded(name, made.model_copy(update=record), tuple(trials), None)


def _finished(number: int, latency_ms: float, accuracy: float) -> Finished:
    record = TrialRecord(
        plan={"site": "merged"},
        plan_id=f"p{number}",
        cost=cost(latency_ms),
        accuracies=accuracies(accuracy),
        seconds=1.0,
        peak_activation_bytes=9,
    )
    return Finished(number, (latency_ms, accuracy), datetime(2026, 1, 1), record, False)


WHOLE = study("whole", [(8.0, 90.0), (5.0, 80.0), (4.0, 60.0)])
NARROW = study("narrow", [(6.0, 85.0), (3.0, 84.0)], model=ModelConfig(narrow=0.5), fingerprint="g")


def test_the_front_of_several_is_of_all_their_trials() -> None:
    front = front_of_all([WHOLE, NARROW, WHOLE])
    found = [(p.study, p.trial) for p in front.points]
    assert found == [("whole", 0), ("whole", 1), ("whole", 2), ("narrow", 1)]
    assert front.trials == 5
    assert front.studies == ["narrow", "whole"]
    assert front_of_all([WHOLE]).points == front_of_all([WHOLE, WHOLE]).points


def test_what_narrowing_lost_counts_more_than_what_merging_lost() -> None:
    front = front_of_all([WHOLE, NARROW])
    lost = {(p.study, p.trial): p.expected_drop for p in (*front.points, *front.others)}
    assert lost["narrow", 0] > lost["whole", 1], "85 % against 80 % before training"
    assert lost["whole", 0] == pytest.approx(0)
    heading, cells = front_table(front).columns[-1].header, list(front_table(front).columns[-1].cells)
    assert heading == "points after training, estimated"
    assert cells[-1] == f"loses ~{lost['narrow', 1]:.1f}"
    assert not any(p.drop_after for p in front_of_all([NARROW]).points), "nothing is known of one alone"
    assert select(front, max_drop=2.5, after_training=True).study == "narrow"


@given(
    reached=st.lists(
        st.lists(st.tuples(st.floats(1, 20), st.floats(0, 90)), min_size=1, max_size=9),
        min_size=1,
        max_size=4,
    )
)
def test_nothing_is_lost_and_nothing_beats_the_joined_front(reached: list[Reached]) -> None:
    studies = [study(str(number), found) for number, found in enumerate(reached)]
    front = front_of_all(studies)
    all_points = [p for s in studies for f in [front_of_all([s])] for p in (*f.points, *f.others)]
    assert sorted((*front.points, *front.others), key=str) == sorted(all_points, key=str)
    assert [p.costs for p in front.points] == [p.costs for p in pareto(all_points)]


def test_a_plan_is_chosen_from_all_of_them_and_knows_its_own() -> None:
    front = front_of_all([WHOLE, NARROW])
    assert select(front, speedup=2).study == "whole"
    point = select(front, speedup=3)
    assert (point.study, point.trial) == ("narrow", 1)
    assert PlanFile.of_trial(NARROW, point).narrow == 0.5
    with pytest.raises(BadInputError, match=r"trial.* 1 is one of each study"):
        select(front, trial=1)
    with pytest.raises(BadInputError, match="trial 1 of narrow"):
        select(front, speedup=9)


def test_tables_and_commands_name_the_study() -> None:
    front = front_of_all([WHOLE, NARROW])
    assert list(front_table(front).columns[0].cells) == ["untouched", "2: 0", "2: 1", "2: 2", "1: 1"]
    assert "1: narrow, 2: whole" in str(front_table(front).title).replace("\N{NO-BREAK SPACE}", " ")
    assert "--study whole --trial 1" in next_commands(front)


def test_what_was_trained_in_one_says_what_plans_of_the_other_may_reach() -> None:
    after = After(value=88.0, untouched=92.0, interval=None, passes=4, images=100, run="run", seconds=1.0)
    front = front_of_all([replace(WHOLE, after={1: after}), NARROW])
    drops = {(p.study, p.trial): p.drop_after for p in (*front.points, *front.others)}
    assert drops["whole", 1] == 4
    assert drops["narrow", 1] is not None
    assert 0 < drops["narrow", 1] < 4


@pytest.mark.parametrize(
    ("record", "words"),
    [
        ({"network": "other"}, "differ in network: net, other"),
        ({"target": "host"}, "differ in target: t, host"),
        ({"data_fingerprint": "e"}, "differ in images"),
        ({"model": ModelConfig(within="backbone")}, "differ in part: all, backbone"),
        ({"baseline": study_record(cost(10.0), 91.0).baseline}, "accuracy of the untouched network: 90.00 %"),
        ({"baseline": study_record(cost(12.0), 90.0).baseline}, "takes 10 ms in study 'whole' and 12 ms"),
        ({"goals": ("memory (MiB)",)}, "objectives"),
    ],
)
def test_what_cannot_be_compared_is_refused(record: dict[str, Any], words: str) -> None:
    with pytest.raises(BadInputError, match="two of the studies are named 'whole'"):
        front_of_all([WHOLE, replace(NARROW, name="whole")])
    made: StudyRecord = WHOLE.record.model_copy(update=record)
    with pytest.raises(BadInputError, match=words):
        front_of_all([WHOLE, replace(NARROW, record=made)])
