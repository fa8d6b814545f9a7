"""The study database, used by several processes and machines at once."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import optuna
import tenacity
from sqlalchemy.exc import (
    DBAPIError,
    InterfaceError,
    OperationalError,
    PendingRollbackError,
    SQLAlchemyError,
)

from search.study.interrupts import uninterrupted
from training.files import sqlite_url

_PATIENCE_SECONDS = 60
_WAIT_FOR_LOCKS = 100.0
_ATTEMPTS = 5
_T = TypeVar("_T")


def database(url: str | None, where: Path) -> str:
    """The study database's URL: as given, or a file in the folder `where`."""
    return sqlite_url(where / "studies.db") if url is None else url


def _options(storage: str) -> dict[str, object]:
    """Wait for locks of other processes; notice connections that were lost."""
    if storage.startswith("sqlite"):
        return {"connect_args": {"timeout": _WAIT_FOR_LOCKS}}
    return {"pool_pre_ping": True}


def _made_meanwhile(error: BaseException) -> bool:
    """Whether another process has just created the same tables."""
    text = str(error).lower()
    return isinstance(error, DBAPIError) and any(word in text for word in ("exists", "unique", "duplicate"))


_beside_others = tenacity.retry(
    retry=tenacity.retry_if_exception(_made_meanwhile),
    stop=tenacity.stop_after_attempt(_ATTEMPTS),
    wait=tenacity.wait_random(0.1, 1),
    reraise=True,
)


@functools.cache  # servers allow some hundred connections, and every new engine takes one
@_beside_others
def storage_of(url: str) -> optuna.storages.BaseStorage:
    """Optuna's storage for a database, one per process; missing tables are created."""
    return optuna.storages.get_storage(optuna.storages.RDBStorage(url, engine_kwargs=_options(url)))


def _away(error: BaseException) -> bool:
    """Whether an error says that a database server cannot be reached (never for files)."""
    cause = error if isinstance(error, SQLAlchemyError) else error.__cause__
    if isinstance(cause, PendingRollbackError):  # the rest of a transaction that broke off
        return True
    lost = isinstance(cause, (OperationalError, InterfaceError))
    return lost and not type(cause.orig).__module__.startswith("sqlite3")  # type: ignore[union-attr]


def patiently(action: Callable[[], _T]) -> _T:
    """Run a database action; if the server is away, retry for a minute.

    Ctrl-C waits until an attempt ends: broken off, it might leave a lock that blocks everybody.
    """

    def attempt() -> _T:
        with uninterrupted():
            return action()

    return tenacity.Retrying(
        retry=tenacity.retry_if_exception(_away),
        stop=tenacity.stop_after_delay(_PATIENCE_SECONDS),
        wait=tenacity.wait_fixed(1),
        reraise=True,
    )(attempt)
