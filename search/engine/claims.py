"""Who works on what: claims of many workers in the study's own database.

A worker claims a *slot* of the budget before it asks for a trial, the *trial* that it is given, and a *plan*
before it trains it. A claim is one row with a unique key, so that two workers cannot hold the same; it is
renewed while its worker lives, and may be taken over when it was not for `GRACE` seconds. So the budget is
met exactly and no plan is trained twice, whoever dies when. Clocks of the workers' machines must agree to a
few seconds.
"""

import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread

from sqlalchemy import (
    Boolean,
    Column,
    Double,
    Engine,
    Integer,
    MetaData,
    String,
    Table,
    and_,
    delete,
    insert,
    or_,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from search.study.storage import engine_of, patiently

SLOT, PLAN, TRIAL = "slot", "plan", "trial"  # kinds of claims
GRACE = 30.0
_BEAT = 5.0

_metadata = MetaData()
_claims = Table(
    "rebirth_claims",
    _metadata,
    Column("study", String(400), primary_key=True),
    Column("kind", String(8), primary_key=True),
    Column("key", String(40), primary_key=True),
    Column("owner", String(40), nullable=False),
    Column("trial", Integer),
    Column("beat", Double, nullable=False),  # MySQL keeps a Float only to some minutes
    Column("done", Boolean, nullable=False),
)


def open_engine(storage: str) -> Engine:
    """The study database, with the table of claims."""
    return engine_of(storage, _metadata)


class Claims:
    """The claims of one worker in one study; `crew` begins the names of workers that one program starts."""

    def __init__(self, engine: Engine, study: str, grace: float = GRACE, crew: str = "") -> None:
        self.engine = engine
        self.study = study
        self.grace = grace
        self.owner = crew + uuid.uuid4().hex
        self._of_study = _claims.c.study == study
        self._mine = and_(self._of_study, _claims.c.owner == self.owner, _claims.c.done.is_(False))

    def claim(self, kind: str, key: str, trial: int | None = None) -> bool:
        """Take a key that nobody holds, or whose holder is dead; False where it is done or held."""
        values = {"owner": self.owner, "trial": trial, "beat": time.time(), "done": False}
        try:
            with self.engine.begin() as connection:
                connection.execute(insert(_claims).values(study=self.study, kind=kind, key=key, **values))
            return True
        except IntegrityError:
            free = or_(_claims.c.owner == self.owner, _claims.c.beat < time.time() - self.grace)
            return self._change(kind, key, and_(_claims.c.done.is_(False), free), **values)

    def note_trial(self, kind: str, key: str, trial: int) -> bool:
        """Write down the trial of a claim; False where the claim was taken over meanwhile."""
        return self._change(kind, key, _claims.c.owner == self.owner, trial=trial, beat=time.time())

    def finish(self, kind: str, key: str) -> bool:
        """Say that a claim's work is done, for good."""
        return self._change(kind, key, _claims.c.owner == self.owner, done=True)

    def give_up(self, crew: str) -> None:
        """Give up what the ended workers of a crew still hold."""
        with self.engine.begin() as connection:
            theirs = and_(_claims.c.owner.startswith(crew), _claims.c.done.is_(False))
            connection.execute(delete(_claims).where(self._of_study, theirs))

    def release(self, kind: str, key: str) -> None:
        """Give up a claim whose work is not done."""
        with self.engine.begin() as connection:
            connection.execute(delete(_claims).where(self._mine, self._place(kind, key)))

    def abandon(self, trial: int) -> None:
        """Give up what a dead worker still holds for a trial, so that its plan can be tried again."""
        with self.engine.begin() as connection:
            theirs = and_(_claims.c.trial == trial, _claims.c.done.is_(False))
            connection.execute(delete(_claims).where(self._of_study, theirs))

    def settle(self, kind: str, key: str, trial: int) -> None:
        """Enter work that is known to be done (by a worker that died before it could say so)."""
        self._change(kind, key, _claims.c.done.is_(False), done=True, trial=trial)

    def rows(self, kind: str) -> dict[str, tuple[int | None, bool, bool]]:
        """Every claim of a kind: its trial, whether it is done, whether another living worker holds it."""
        wanted = select(_claims.c.key, _claims.c.trial, _claims.c.done, _claims.c.beat, _claims.c.owner)
        with self.engine.connect() as connection:
            found = connection.execute(wanted.where(self._of_study, _claims.c.kind == kind)).all()
        oldest = time.time() - self.grace
        return {
            key: (trial, done, owner != self.owner and beat >= oldest)
            for key, trial, done, beat, owner in found
        }

    @contextmanager
    def alive(self) -> Iterator[None]:
        """Renew this worker's claims in the background; those that are not done are given up at the end."""
        stop = Event()
        thread = Thread(target=self._beat, args=(stop,), daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()
            patiently(self._leave)

    def _leave(self) -> None:
        with self.engine.begin() as connection:
            connection.execute(delete(_claims).where(self._mine))

    def _beat(self, stop: Event) -> None:
        while not stop.wait(_BEAT):
            try:
                with self.engine.begin() as connection:
                    connection.execute(update(_claims).where(self._mine).values(beat=time.time()))
            except SQLAlchemyError:
                continue  # the database is away: the next beat tries again

    def _place(self, kind: str, key: str):  # type: ignore[no-untyped-def]
        return and_(self._of_study, _claims.c.kind == kind, _claims.c.key == key)

    def _change(self, kind: str, key: str, condition, **values: object) -> bool:  # type: ignore[no-untyped-def]
        with self.engine.begin() as connection:
            changed = connection.execute(
                update(_claims).where(self._place(kind, key), condition).values(**values)
            )
        return changed.rowcount == 1
