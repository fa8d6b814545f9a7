"""Studies: created, continued, run, and opened for reading. Optuna keeps them in a database."""

import platform
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from importlib.metadata import version
from typing import Any

import optuna
from optuna.study import StudyDirection
from optuna.trial import TrialState
from sqlalchemy.exc import SQLAlchemyError

from search.evaluation.evaluator import Evaluator, score_attributes
from search.space.parameters import PRESET, to_params
from search.study.interrupts import uninterrupted
from search.study.storage import storage_of
from training.errors import BadInputError, SearchFailedError

_OBJECTIVES = ["latency (ms)", "accuracy (%)"]
_PACKAGES = ("torch", "torchvision", "optuna", "onnxruntime", "numpy")


optuna.logging.set_verbosity(optuna.logging.ERROR)


@contextmanager
def _database(storage: str) -> Iterator[None]:
    try:
        yield
    except SQLAlchemyError as error:
        reason = str(getattr(error, "orig", None) or error).splitlines()[0]
        raise BadInputError(
            f"the study database {storage} cannot be used ({reason}); check --storage"
        ) from error
    except ImportError as error:
        raise BadInputError(
            f"the study database {storage} needs a driver that is not installed ({error})"
        ) from error


@contextmanager
def kept(storage: str) -> Iterator[None]:
    """Say clearly that a database was lost in the middle of a search, and what is left of the work.

    Raises
    ------
    SearchFailedError
        The database cannot be used any more.
    """
    try:
        yield
    except (SQLAlchemyError, optuna.exceptions.StorageInternalError) as error:
        cause = error if isinstance(error, SQLAlchemyError) else error.__cause__ or error
        reason = str(getattr(cause, "orig", None) or cause).splitlines()[0]
        raise SearchFailedError(
            f"the study database {storage} was lost ({reason}); finished trials are kept: "
            "once it is back, the same command continues"
        ) from error


def check_storage(storage: str) -> None:
    """Refuse a database that cannot be used, before any work is done for it."""
    with _database(storage):
        optuna.get_all_study_names(storage_of(storage))


def check_same(name: str, storage: str, **identity: str) -> None:
    """Refuse early to continue a study of another network or target."""
    with _database(storage):
        study = _begun(name, storage)
        if study is not None:
            _check_identity(study, identity)


def recorded(name: str, storage: str) -> dict[str, Any] | None:
    """What a study has recorded of itself; None where there is no such study yet."""
    with _database(storage):
        study = _begun(name, storage)
        return None if study is None else study.user_attrs


def _begun(name: str, storage: str) -> optuna.Study | None:
    """The study of that name, where there is one."""
    if name not in optuna.get_all_study_names(storage_of(storage)):
        return None
    return optuna.load_study(study_name=name, storage=storage_of(storage))


def open_study(name: str, storage: str) -> optuna.Study:
    """A study that exists.

    Raises
    ------
    BadInputError
        The database cannot be opened or has no such study.
    """
    with _database(storage):
        try:
            return optuna.load_study(study_name=name, storage=storage_of(storage))
        except KeyError as error:
            known = ", ".join(optuna.get_all_study_names(storage_of(storage))) or "none yet"
            raise BadInputError(f"no study {name!r} in {storage}; it holds: {known}") from error


def start(
    name: str,
    storage: str,
    evaluator: Evaluator,
    budget: int,
    arguments: dict[str, Any],
) -> optuna.Study:
    """Create a study or continue the one of that name; its first plans wait to be tried.

    Raises
    ------
    BadInputError
        The database cannot be used, or the study belongs to another network, target or data.
    """
    bench, device = evaluator.bench, evaluator.latencies.device
    identity = {
        "network": bench.network.name,
        "fingerprint": bench.network.fingerprint,
        "weights_fingerprint": bench.network.weights_fingerprint,
        "target": device.spec.name,
        "data_fingerprint": bench.data.fingerprint,
        "proxy": asdict(evaluator.proxy),
        "only": list(bench.setup.only),
        "skip": list(bench.setup.skip),
        "low_rank": bench.setup.low_rank,
        "zero_shot": bench.setup.zero_shot,
        "goals": list(evaluator.goals),
    }
    with _database(storage):
        study = _begun(name, storage)
        if study is not None:
            _check_identity(study, identity)
            if evaluator.enumerates:
                _enqueue(study, evaluator, budget)
        else:
            description = _description(evaluator, identity, arguments)
            with uninterrupted():
                study = _create(name, storage, description, list(evaluator.goals))
            _enqueue(study, evaluator, budget)
    return study


def _enqueue(study: optuna.Study, evaluator: Evaluator, count: int) -> None:
    plans = list(evaluator.first_plans(count))
    with uninterrupted():
        for name, choices in plans:
            params, notes = to_params(evaluator.bench.network, choices), {PRESET: name} if name else {}
            study.enqueue_trial(params, user_attrs=notes, skip_if_exists=True)


def _create(name: str, storage: str, description: dict[str, Any], goals: list[str]) -> optuna.Study:
    directions = [StudyDirection.MINIMIZE, StudyDirection.MAXIMIZE, *(StudyDirection.MINIMIZE for _ in goals)]
    study = optuna.create_study(study_name=name, storage=storage_of(storage), directions=directions)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        study.set_metric_names([*_OBJECTIVES, *goals])
    for key, value in description.items():
        study.set_user_attr(key, value)
    return study


def _check_identity(study: optuna.Study, identity: dict[str, Any]) -> None:
    for key, ours in identity.items():
        theirs = study.user_attrs.get(key)
        if theirs != ours and (theirs or ours):  # an older study has no word on what it did without
            raise BadInputError(
                f"study {study.study_name!r} was made with {key} {theirs!r}, not {ours!r}; "
                "choose another --study name, or give the same arguments"
            )


def _description(evaluator: Evaluator, identity: dict[str, Any], arguments: dict[str, Any]) -> dict[str, Any]:
    score = evaluator.latencies.score({})
    return (
        identity
        | evaluator.provenance()
        | {
            "input_shape": list(evaluator.bench.network.input_shape),
            "classes": evaluator.bench.network.classes,
            "options": {
                site: {option: [worth.saved_ms, worth.loss] for option, worth in found.items()}
                for site, found in evaluator.estimates.items()
            },
            "setup": evaluator.bench.setup.model_dump(),
            "arguments": arguments,
            "baseline": {
                "latency_ms": score.latency_ms,
                **score_attributes(score),
                **evaluator.untouched(),
                "goals": {title: goal({}) for title, goal in evaluator.goals.items()},
            },
            "versions": {"python": platform.python_version()} | {name: version(name) for name in _PACKAGES},
            "created": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        }
    )


def finished(study: optuna.Study) -> list[optuna.trial.FrozenTrial]:
    """Trials that count against the budget."""
    return study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
