"""Latency tables: kernel -> measurement, with provenance. CSV files, one target each."""

import os
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from latency_models.kernel import Kernel


class TableError(ValueError):
    """A table's file cannot be read; the message names it."""


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
    """

    kernel: Kernel
    median_us: float
    spread_us: float
    repeats: int
    source: str


class LatencyTable:
    """Measurements by kernel; a later measurement of the same kernel takes the earlier one's place."""

    def __init__(self, rows: Iterable[Measurement] = ()) -> None:
        self.rows: dict[Kernel, Measurement] = {row.kernel: row for row in rows}

    def __len__(self) -> int:
        return len(self.rows)

    def add(self, rows: Iterable[Measurement]) -> None:
        self.rows.update({row.kernel: row for row in rows})

    def get(self, kernel: Kernel) -> Measurement | None:
        return self.rows.get(kernel)

    def frame(self) -> pd.DataFrame:
        """One row a kernel."""
        return pd.DataFrame(
            {
                **row.kernel.to_row(),
                "median_us": row.median_us,
                "spread_us": row.spread_us,
                "repeats": row.repeats,
                "source": row.source,
            }
            for row in self.rows.values()
        )

    def save(self, path: Path) -> None:
        """Write the table in one step: a reader sees the old file or the new one."""
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, suffix=".tmp")
        with os.fdopen(handle, "w") as file:
            self.frame().to_csv(file, index=False, float_format="%.3f")
        Path(temporary).replace(path)

    @classmethod
    def load(cls, path: Path) -> "LatencyTable":
        """Read a table; an absent file is an empty table.

        Raises
        ------
        TableError
            The file is no latency table.
        """
        if not path.exists():
            return cls()
        try:
            frame = pd.read_csv(path, keep_default_na=False)
            return cls(
                Measurement(
                    Kernel.from_row({str(k): v for k, v in row.items()}),
                    float(row["median_us"]),
                    float(row["spread_us"]),
                    int(row["repeats"]),
                    str(row["source"]),
                )
                for row in frame.to_dict("records")
            )
        except (KeyError, ValueError, TypeError, OSError) as error:
            raise TableError(
                f"{path} is not a latency table ({error}); remove it to measure again"
            ) from error
