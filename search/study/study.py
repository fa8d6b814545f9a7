"""Creates, continues and opens studies, which Optuna keeps in a database."""

import random
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna
from optuna.study import StudyDirection
from optuna.trial import TrialState
from sqlalchemy import make_url
from sqlalchemy.exc import SQLAlchemyError

from search.study.interrupts import uninterrupted
from search.study.marks import for_preset
from search.study.records import StudyRecord, another
from search.study.storage import patiently, storage_of
from training.errors import BadInputError, SearchFailedError

_OBJECTIVES = ["latency (ms)", "accuracy (%)"]

Plans = Sequence[tuple[str, Mapping[str, str]]]


optuna.logging.set_verbosity(optuna.logging.ERROR)


@contextmanager
def usable(storage: str) -> Iterator[None]:
    """Report a database that cannot be used, or whose content is damaged.

    Raises
    ------
    BadInputError
        It is such a one.
    """
    try:
        yield
    except BadInputError:
        raise
    except (SQLAlchemyError, optuna.exceptions.StorageInternalError) as error:
        raise BadInputError(
            f"the study database {storage} cannot be used ({_reason(error)}); check `storage`"
        ) from error
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise BadInputError(
            f"the study database {storage} is damaged ({type(error).__name__}: {error}); "
            "restore it, or choose another `storage`"
        ) from error
    except ImportError as error:
        raise BadInputError(
            f"the study database {storage} needs a driver that is not installed ({error})"
        ) from error


def _reason(error: Exception) -> str:
    """What the database's driver says, in one line."""
    cause = error if isinstance(error, SQLAlchemyError) else error.__cause__ or error
    return str(getattr(cause, "orig", None) or cause).splitlines()[0]


@contextmanager
def kept(storage: str) -> Iterator[None]:
    """Report a database that is lost during a search, and what is left of the work.

    Raises
    ------
    SearchFailedError
        The database was lost.
    """
    try:
        yield
    except (SQLAlchemyError, optuna.exceptions.StorageInternalError) as error:
        raise SearchFailedError(
            f"the study database {storage} was lost ({_reason(error)}); finished trials are kept: "
            "once it is back, the same command continues"
        ) from error


def check_storage(storage: str) -> None:
    """Refuse a database that cannot be used, or that keeps nothing, before any work is done."""
    with usable(storage):
        url = make_url(storage)
        if url.get_backend_name() == "sqlite" and (not url.database or "memory" in storage):
            raise BadInputError(
                f"the study database {storage} is in memory and keeps nothing; "
                "expected a file: sqlite:///studies.db"
            )
        optuna.get_all_study_names(storage_of(storage))


def check_same(name: str, storage: str, network: str, target: str, narrow: float | None) -> None:
    """Refuse early if the study is of another network or target."""
    known = recorded(name, storage)
    if known is None:
        return
    for what, theirs, ours in (
        ("network", known.network, network),
        ("target", known.target, target),
        ("narrow", known.model.narrow, narrow),
    ):
        if theirs != ours:
            raise BadInputError(another(name, what, theirs, ours))


def recorded(name: str, storage: str) -> StudyRecord | None:
    """The record of a study; None if there is no such study yet."""
    with usable(storage):
        study = _begun(name, storage)
        return None if study is None else StudyRecord.read(study)


def _begun(name: str, storage: str) -> optuna.Study | None:
    """The study of that name; None if there is none, or only the beginnings of one."""
    if name not in optuna.get_all_study_names(storage_of(storage)):
        return None
    study = optuna.load_study(study_name=name, storage=storage_of(storage))
    return None if _is_half_made(study) else study


def _is_half_made(study: optuna.Study) -> bool:
    """Whether a search was interrupted while it made the study: its record is written last."""
    if study.user_attrs:
        return False
    return all(trial.state == TrialState.WAITING for trial in study.get_trials(deepcopy=False))


def open_study(name: str, storage: str) -> optuna.Study:
    """Open an existing study.

    Raises
    ------
    BadInputError
        The database cannot be opened or has no such study.
    """
    with usable(storage):
        _require_there(name, storage)
        study = _begun(name, storage)
        if study is None:
            known = ", ".join(optuna.get_all_study_names(storage_of(storage))) or "none yet"
            if name in known.split(", "):
                raise BadInputError(f"study {name!r} was interrupted while it was made; run 'search' again")
            raise BadInputError(f"no study {name!r} in {storage}; it holds: {known}")
        return study


def _require_there(name: str, storage: str) -> None:
    """Refuse a database whose file is not there: to look for a study makes none."""
    url = make_url(storage)
    path = url.database if url.get_backend_name() == "sqlite" else None
    if path and not path.startswith("file:") and not Path(path).exists():
        raise BadInputError(
            f"no study {name!r}: there is no database {path}; 'search' makes one ("
            "`home` or `storage` says where)"
        )


def start(name: str, storage: str, record: StudyRecord, plans: Plans) -> optuna.Study:
    """Create a study with its first plans, or open the one of that name to continue it.

    Making a study is one step: whoever finds half of one makes it anew.

    Raises
    ------
    BadInputError
        The database cannot be used, or the study belongs to another network, target or data.
    """
    with usable(storage):
        study = _begun(name, storage)
        if study is not None:
            StudyRecord.read(study).check_same(name, record)
            return study
        return patiently(lambda: _create(name, storage, record, plans))


def enqueue(study: optuna.Study, plans: Plans) -> None:
    """Enqueue plans to try first, except those enqueued or tried before.

    Each is the name of a preset (empty for none) and an option for every searched site.
    """
    with uninterrupted():
        for preset, params in plans:
            study.enqueue_trial(dict(params), user_attrs=for_preset(preset), skip_if_exists=True)


def _create(name: str, storage: str, record: StudyRecord, plans: Plans) -> optuna.Study:
    if name in optuna.get_all_study_names(storage_of(storage)):
        optuna.delete_study(study_name=name, storage=storage_of(storage))  # half of one
    goals = record.goals
    directions = [StudyDirection.MINIMIZE, StudyDirection.MAXIMIZE, *(StudyDirection.MINIMIZE for _ in goals)]
    study = optuna.create_study(study_name=name, storage=storage_of(storage), directions=directions)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        study.set_metric_names([*_OBJECTIVES, *goals])
    enqueue(study, plans)
    record.write(study)  # last: before it, the study is half made
    return study


def finished(study: optuna.Study) -> list[optuna.trial.FrozenTrial]:
    """Trials that count against the budget."""
    return study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))


def enqueue_neighbour(study: optuna.Study, space: dict[str, Any]) -> None:
    """Enqueue a finished plan with another option at one site.

    For samplers that keep proposing known plans: Optuna's learn nothing from a refused trial.
    """
    tried = [trial.params for trial in finished(study)]
    chance = random.Random(len(study.get_trials(deepcopy=False)))
    site = chance.choice(list(space))
    if tried:
        study.enqueue_trial(chance.choice(tried) | {site: chance.choice(space[site].choices)})
