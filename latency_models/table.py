"""Latency tables: kernel -> measurement, with provenance, in memory and as files; see ``store`` for SQL."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from latency_models.files import replacing
from latency_models.kernel import Kernel

_LONGEST_US = 1e9
_MOST_REPEATS = 10**9


class TableError(ValueError):
    """A table's file cannot be read; the message names it."""


class TimingError(TableError):
    """A timing is impossible; the message names the kernel and what was expected."""


@dataclass(frozen=True)
class Measurement:
    """The time of one kernel on one target.

    Attributes
    ----------
    median_us : microseconds an image, at batch 1
    spread_us : half the range from the lowest to the highest repetition (shipped tables), or half the
        distance between the quartiles (measured here)
    repeats : repetitions behind the median
    source : what was measured, where and with which version
    noisy : whether the repetitions differ more than they should
    """

    kernel: Kernel
    median_us: float
    spread_us: float
    repeats: int
    source: str
    noisy: bool = False

    def __post_init__(self) -> None:
        """Refuse an impossible timing.

        Raises
        ------
        TimingError
            A time is not finite, not positive or longer than a quarter of an hour, or there are no repeats.
        """
        for name, value, expected, possible in (
            ("median_us", self.median_us, "more than 0", 0 < self.median_us <= _LONGEST_US),
            ("spread_us", self.spread_us, "0 or more", 0 <= self.spread_us <= _LONGEST_US),
            ("repeats", self.repeats, "1 or more", 1 <= self.repeats <= _MOST_REPEATS),
        ):
            if not possible:
                raise TimingError(
                    f"{name} is {value:g}; expected a number of {expected} (kernel {self.kernel.key})"
                )

    def to_row(self) -> dict[str, Any]:
        """Flat values for a table's row."""
        values = {name: getattr(self, name) for name in _VALUES}
        return self.kernel.to_row() | values

    @classmethod
    def from_row(cls, row: dict[str, Any]) -> "Measurement":
        """Inverse of `to_row`; other columns are ignored."""
        return cls(
            Kernel.from_row(row),
            float(row["median_us"]),
            float(row["spread_us"]),
            int(row["repeats"]),
            str(row["source"]),
            str(row.get("noisy", False)) in ("True", "1"),
        )


_VALUES = ("median_us", "spread_us", "repeats", "source", "noisy")


class LatencyTable:
    """Measurements by kernel; a later measurement of the same kernel replaces the earlier one.

    `remark` says what was left out when the table was loaded; empty if nothing.
    """

    def __init__(self, rows: Iterable[Measurement] = (), remark: str = "") -> None:
        self.rows: dict[Kernel, Measurement] = {row.kernel: row for row in rows}
        self.remark = remark

    def __len__(self) -> int:
        return len(self.rows)

    def add(self, rows: Iterable[Measurement]) -> None:
        self.rows.update({row.kernel: row for row in rows})

    def get(self, kernel: Kernel) -> Measurement | None:
        return self.rows.get(kernel)

    def frame(self) -> pd.DataFrame:
        """One row a kernel."""
        return pd.DataFrame(row.to_row() for row in self.rows.values())

    def save(self, path: Path) -> None:
        """Write the table as CSV or, by the file's suffix, as Parquet, in one step."""
        with replacing(path) as temporary:
            if path.suffix == ".parquet":
                self.frame().to_parquet(temporary, index=False)
            else:
                self.frame().to_csv(temporary, index=False, float_format="%.3f")

    @classmethod
    def load(cls, path: Path) -> "LatencyTable":
        """Read a CSV or Parquet file; an absent file is an empty table.

        Raises
        ------
        TableError
            The file is no latency table.
        """
        if not path.exists():
            return cls()
        try:
            frame = pd.read_parquet(path) if path.suffix == ".parquet" else _read_csv(path)
            rows = frame.to_dict("records")
            return cls(Measurement.from_row({str(k): v for k, v in row.items()}) for row in rows)
        except (KeyError, ValueError, TypeError, OSError, OverflowError) as error:
            raise TableError(f"{path} is not a latency table ({error})") from error


def _read_csv(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, keep_default_na=False)
