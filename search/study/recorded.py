"""A study as it is recorded, read from Optuna's tables at once.

Through Optuna's objects, thousands of trials with dozens of parameters take minutes.
"""

import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sql
from sqlalchemy.pool import NullPool

from search.study.after import After
from search.study.marks import accuracy_model_of, is_preset
from search.study.records import StudyRecord, TrialRecord
from search.study.study import open_study, usable

_STUDIES = sql.table("studies", sql.column("study_id"), sql.column("study_name"))
_TRIALS = sql.table(
    "trials",
    *(sql.column(name) for name in ("trial_id", "number", "study_id", "state")),
    sql.column("datetime_complete", sql.DateTime),
)
_VALUES = sql.table("trial_values", *(sql.column(name) for name in ("trial_id", "objective", "value")))
_ATTRIBUTES = sql.table(
    "trial_user_attributes", *(sql.column(name) for name in ("trial_id", "key", "value_json"))
)


@dataclass(frozen=True)
class Finished:
    """A finished trial; `values` are latency (ms), accuracy (percent) and goals.

    `preset` tells whether its plan is a preset's.
    """

    number: int
    values: tuple[float, ...]
    ended: datetime
    record: TrialRecord
    preset: bool


@dataclass(frozen=True)
class Recorded:
    """A study's records, its finished trials in the order of their numbers."""

    name: str
    record: StudyRecord
    trials: tuple[Finished, ...]
    accuracy_model: dict[str, float] | None
    after: dict[int, After] = field(default_factory=dict)


def read(name: str, url: str) -> Recorded:
    """Read an existing study.

    Raises
    ------
    BadInputError
        The database cannot be used or has no such study, or another program made it.
    """
    study = open_study(name, url)
    with usable(url), closing(sql.create_engine(url, poolclass=NullPool).connect()) as connection:
        trials = tuple(_finished(connection, name))
        record = StudyRecord.read(study)
        return Recorded(name, record, trials, accuracy_model_of(study), After.of(study))


def _finished(connection: sql.Connection, name: str) -> Iterator[Finished]:
    ours = (
        sql.select(_TRIALS.c.trial_id)
        .join(_STUDIES, _STUDIES.c.study_id == _TRIALS.c.study_id)
        .where(_STUDIES.c.study_name == name, sql.cast(_TRIALS.c.state, sql.String) == "COMPLETE")
    )
    values: dict[int, dict[int, float]] = {}
    for trial, objective, value in connection.execute(
        sql.select(*_VALUES.c).where(_VALUES.c.trial_id.in_(ours))
    ):
        values.setdefault(trial, {})[objective] = value
    attributes: dict[int, dict[str, Any]] = {}
    for trial, key, text in connection.execute(
        sql.select(*_ATTRIBUTES.c).where(_ATTRIBUTES.c.trial_id.in_(ours))
    ):
        attributes.setdefault(trial, {})[key] = json.loads(text)
    rows = sql.select(_TRIALS.c.trial_id, _TRIALS.c.number, _TRIALS.c.datetime_complete)
    for trial, number, ended in connection.execute(
        rows.where(_TRIALS.c.trial_id.in_(ours)).order_by(_TRIALS.c.number)
    ):
        own = attributes.get(trial, {})
        reached = tuple(value for _, value in sorted(values[trial].items()))
        yield Finished(number, reached, ended, TrialRecord.of(own, number), is_preset(own))
