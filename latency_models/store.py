"""Latency tables in a SQL database: one row a target and kernel."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sql
from sqlalchemy.exc import SQLAlchemyError

from latency_models.table import LatencyTable, Measurement, TableError, TimingError

_METADATA = sql.MetaData()
_SHAPES = ("in_shape", "out_shape", "window", "stride", "padding", "dilation", "parts")
_KERNELS = sql.Table(
    "latency",
    _METADATA,
    sql.Column("target", sql.String(100), primary_key=True),
    sql.Column("key", sql.String(250), primary_key=True),
    sql.Column("op", sql.String(50), nullable=False),
    *(sql.Column(name, sql.String(200), nullable=False) for name in _SHAPES),
    sql.Column("groups", sql.Integer, nullable=False),
    sql.Column("activation", sql.String(50), nullable=False),
    sql.Column("median_us", sql.Float, nullable=False),
    sql.Column("spread_us", sql.Float, nullable=False),
    sql.Column("repeats", sql.Integer, nullable=False),
    sql.Column("noisy", sql.Boolean, nullable=False),
    sql.Column("source", sql.Text, nullable=False),
    sql.Column("details", sql.Text, nullable=True),
    sql.Column("method", sql.Integer, nullable=True),
)
_METHOD = 2  # of timing; 1 (none in older databases) took off too little for looking at kernels


class Store:
    """The tables of all targets that were measured here.

    Parameters
    ----------
    url : SQLAlchemy's name of the database; its tables are made when something is first kept
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._engine = sql.create_engine(url)

    def load(self, target: str, only_current: bool = False) -> LatencyTable:
        """A target's table, without impossible timings (see its `remark`); empty if nothing was kept.

        With `only_current`, what earlier versions timed in another way is left out, to be measured again.

        Raises
        ------
        TableError
            The database cannot be read.
        """
        with self._readable():
            if not sql.inspect(self._engine).has_table(_KERNELS.name):
                return LatencyTable()
            self._bring_up_to_date()
            with self._engine.connect() as connection:
                wanted = sql.select(_KERNELS).where(_KERNELS.c.target == target)
                if only_current:
                    wanted = wanted.where(_KERNELS.c.method == _METHOD)
                found = connection.execute(wanted)
                return _possible([dict(row) for row in found.mappings()])

    def keep(self, target: str, rows: Iterable[Measurement]) -> None:
        """Add rows in one transaction; they take the place of earlier ones of the same kernels.

        Raises
        ------
        TableError
            The database cannot be written.
        """
        own = {"target": target, "method": _METHOD, "details": ""}
        values = [own | {"key": row.kernel.key} | row.to_row() for row in rows]
        if not values:
            return
        with self._readable():
            _METADATA.create_all(self._engine)
            self._bring_up_to_date()
            with self._engine.begin() as connection:
                same = sql.and_(_KERNELS.c.target == target, _KERNELS.c.key == sql.bindparam("known"))
                connection.execute(_KERNELS.delete().where(same), [{"known": v["key"]} for v in values])
                connection.execute(_KERNELS.insert(), values)

    def _bring_up_to_date(self) -> None:
        """Add the columns that a database of an earlier version lacks."""
        known = {column["name"] for column in sql.inspect(self._engine).get_columns(_KERNELS.name)}
        for name, kind in (("details", "TEXT"), ("method", "INTEGER")):
            if name not in known:
                with self._engine.begin() as connection:
                    connection.execute(sql.text(f"ALTER TABLE latency ADD COLUMN {name} {kind}"))

    @contextmanager
    def _readable(self) -> Iterator[None]:
        try:
            yield
        except (SQLAlchemyError, UnicodeError, OverflowError) as error:
            reason = str(getattr(error, "orig", None) or error).splitlines()[0]
            raise TableError(f"the latency tables in {self.url} cannot be used ({reason})") from error


def _possible(rows: Sequence[dict[str, Any]]) -> LatencyTable:
    """The table of some rows; impossible timings, which earlier versions kept, are left out and told."""
    made: list[Measurement] = []
    wrong: list[str] = []
    for row in rows:
        try:
            made.append(Measurement.from_row(row))
        except TimingError as error:
            wrong.append(str(error))
    remark = f"{len(wrong)} impossible timings are left out, and measured again: {wrong[0]}" if wrong else ""
    return LatencyTable(made, remark)
