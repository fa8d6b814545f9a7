"""One driver per study: a lock that is released when its process ends, however that ends."""

import fcntl
import hashlib
import os
from pathlib import Path
from typing import Self

from sqlalchemy import Connection, create_engine, make_url, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from search.study.storage import patiently
from training.errors import BadInputError


class OnlyDriver:
    """The lock of one study: a file beside an SQLite database, or a lock in the database server."""

    def __init__(self, study: str, storage: str) -> None:
        self.study = study
        self.url = make_url(storage)
        self.key = hashlib.sha256(study.encode()).hexdigest()[:15]
        self.path = Path(f"{self.url.database}.{self.key}.lock")
        self.file: int | None = None
        self.connection: Connection | None = None

    def __enter__(self) -> Self:
        """Take the lock.

        Raises
        ------
        BadInputError
            Another process holds the lock.
        """
        if self.url.get_backend_name() == "sqlite":
            self._lock_file()
        else:
            self.renew()
        return self

    def __exit__(self, *error: object) -> None:
        if self.file is not None:
            self.path.unlink(missing_ok=True)
            os.close(self.file)
        if self.connection:
            self.connection.invalidate()

    def renew(self) -> None:
        """Make sure that the lock is held: a restarted server has forgotten it.

        Raises
        ------
        BadInputError
            Another process holds the lock.
        """
        if self.file is None and self.url.get_backend_name() != "sqlite":
            patiently(self._lock_server)

    def _lock_file(self) -> None:
        while self.file is None:
            file = os.open(self.path, os.O_CREAT | os.O_WRONLY)
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                os.close(file)
                raise self._held() from error
            if self.path.exists() and self.path.stat().st_ino == os.fstat(file).st_ino:
                self.file = file
            else:  # the process before has removed it meanwhile
                os.close(file)

    def _lock_server(self) -> None:
        if self.connection is not None:
            try:
                self.connection.execute(text("select 1"))
                return
            except SQLAlchemyError:
                self.connection.invalidate()
                self.connection = None
        connection = create_engine(self.url, poolclass=NullPool, isolation_level="AUTOCOMMIT").connect()
        ask = "select get_lock(:key, 0)"
        key: str | int = f"rebirth-{self.key}"
        if self.url.get_backend_name() == "postgresql":
            ask, key = "select pg_try_advisory_lock(:key)", int(self.key, 16)
        if not connection.execute(text(ask), {"key": key}).scalar_one():
            connection.close()
            raise self._held()
        self.connection = connection

    def _held(self) -> BadInputError:
        return BadInputError(
            f"study {self.study!r} is being run by another process; for more workers, start that one with "
            "more `workers`, or with a `scheduler` that others join"
        )
