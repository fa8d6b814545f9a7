"""Studies: created, continued, run, and opened for reading. Optuna keeps them in a database."""

import platform
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from importlib.metadata import version
from typing import Any, TypeVar

import optuna
import tenacity
from optuna.trial import TrialState
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, SQLAlchemyError

from search.evaluate import Evaluator, score_attributes
from search.interrupts import uninterrupted
from search.ledger import engine_options
from search.space import PRESET, to_params
from training.errors import BadInputError, SearchFailedError

_OBJECTIVES = ["latency (ms)", "accuracy (%)"]
_PATIENCE_SECONDS = 60
_T = TypeVar("_T")
_PACKAGES = ("torch", "torchvision", "optuna", "onnxruntime", "numpy")


optuna.logging.set_verbosity(optuna.logging.WARNING)


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


def _away(error: BaseException) -> bool:
    """Whether a database server cannot be reached (files are never away)."""
    cause = error if isinstance(error, DBAPIError) else error.__cause__
    lost = isinstance(cause, (OperationalError, InterfaceError))
    return lost and not type(cause.orig).__module__.startswith("sqlite3")  # type: ignore[union-attr]


def patiently(action: Callable[[], _T]) -> _T:
    """Do something with a study's database; while its server is away, try again for a minute."""
    return tenacity.Retrying(
        retry=tenacity.retry_if_exception(_away),
        stop=tenacity.stop_after_delay(_PATIENCE_SECONDS),
        wait=tenacity.wait_fixed(1),
        reraise=True,
    )(action)


def storage_of(url: str) -> optuna.storages.BaseStorage:
    """The database as Optuna opens it, for several processes at once."""
    return optuna.storages.get_storage(optuna.storages.RDBStorage(url, engine_kwargs=engine_options(url)))


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
        optuna.get_all_study_names(storage)


def check_same(name: str, storage: str, **identity: str) -> None:
    """Refuse early to continue a study of another network or target."""
    with _database(storage):
        if name in optuna.get_all_study_names(storage):
            _check_identity(optuna.load_study(study_name=name, storage=storage_of(storage)), identity)


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
            known = ", ".join(optuna.get_all_study_names(storage)) or "none yet"
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
    }
    with _database(storage):
        if name in optuna.get_all_study_names(storage):
            study = optuna.load_study(study_name=name, storage=storage_of(storage))
            _check_identity(study, identity)
            if evaluator.enumerates:
                _enqueue(study, evaluator, budget)
        else:
            description = _description(evaluator, identity, arguments)
            with uninterrupted():
                study = _create(name, storage, description)
            _enqueue(study, evaluator, budget)
    return study


def _enqueue(study: optuna.Study, evaluator: Evaluator, count: int) -> None:
    plans = list(evaluator.first_plans(count))
    with uninterrupted():
        for name, choices in plans:
            params, notes = to_params(evaluator.bench.network, choices), {PRESET: name} if name else {}
            study.enqueue_trial(params, user_attrs=notes, skip_if_exists=True)


def _create(name: str, storage: str, description: dict[str, Any]) -> optuna.Study:
    database = storage_of(storage)
    study = optuna.create_study(study_name=name, storage=database, directions=["minimize", "maximize"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        study.set_metric_names(_OBJECTIVES)
    for key, value in description.items():
        study.set_user_attr(key, value)
    return study


def _check_identity(study: optuna.Study, identity: dict[str, Any]) -> None:
    for key, ours in identity.items():
        theirs = study.user_attrs.get(key)
        if theirs != ours:
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
            "setup": evaluator.bench.setup.model_dump(),
            "arguments": arguments,
            "baseline": {
                "latency_ms": score.latency_ms,
                **score_attributes(score),
                **evaluator.untouched(),
            },
            "versions": {"python": platform.python_version()} | {name: version(name) for name in _PACKAGES},
            "created": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        }
    )


def finished(study: optuna.Study) -> list[optuna.trial.FrozenTrial]:
    """Trials that count against the budget."""
    return study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
