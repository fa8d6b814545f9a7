"""One driver a study: a lock that ends with its process, however that ends."""

import fcntl
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, create_engine, make_url, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from training.errors import BadInputError


@contextmanager
def only_driver(study: str, storage: str) -> Iterator[None]:
    """Hold a study's lock.

    Raises
    ------
    BadInputError
        Another process holds it.
    """
    url = make_url(storage)
    name = hashlib.sha256(study.encode()).hexdigest()[:15]
    if url.get_backend_name() == "sqlite":
        if url.database in (None, "", ":memory:"):
            yield
            return
        path = Path(f"{url.database}.{name}.lock")
        with path.open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise _held(study) from error
            yield
        return
    engine = create_engine(url, poolclass=NullPool)
    with engine.connect() as connection:
        if not _taken(connection, name):
            raise _held(study)
        try:
            yield
        finally:
            connection.invalidate()


def _taken(connection: Connection, name: str) -> bool:
    """Whether the server gives us the lock; it takes it back when the connection ends."""
    if connection.dialect.name == "postgresql":
        question = text("select pg_try_advisory_lock(:key)")
        return bool(connection.execute(question, {"key": int(name, 16)}).scalar_one())
    return bool(connection.execute(text("select get_lock(:name, 0)"), {"name": f"rebirth-{name}"}).scalar_one())


def _held(study: str) -> BadInputError:
    return BadInputError(
        f"study {study!r} is being run by another process; to add workers, start that one again with more "
        "`workers`, or let it use a `scheduler` that more workers join"
    )
