"""Instruction counts by kernel: read off a run under the emulator, and kept as files."""

import gzip
import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from latency_models.board.counted import RUNS
from latency_models.emulation.emulator import COUNTS
from latency_models.files import replacing
from latency_models.kernel import Kernel
from latency_models.table import TableError

# In the order of counter.c.
CLASSES = (
    *("vector_fma", "vector_fma_half", "vector_slow", "vector_other"),
    *("vector_load", "vector_load_many", "vector_store", "load", "store", "prefetch", "branch", "other"),
    *("bytes_loaded", "bytes_stored", "near_misses", "far_misses"),
)
INSTRUCTIONS = 12  # the first of them; the rest is traffic
SHIPPED = Path(__file__).with_name("counts")

Counts = dict[Kernel, np.ndarray]


def counted(kit: Path) -> tuple[Counts, dict[str, str]]:
    """What a kit's kernels executed, by kernel, and what could not be run, by name with the reason.

    A kernel's counts are the least of its runs after the first one, without what looking for nothing
    executes.
    """
    readings = np.loadtxt(kit / COUNTS, dtype=np.int64, ndmin=2)
    found: Counts = {}
    failed: dict[str, str] = {}
    for text in (kit / RUNS).read_text().splitlines():
        line = json.loads(text)
        kernel = Kernel.from_row(line["kernel"])
        if "failed" in line:
            failed[kernel.key] = line["failed"]
            continue
        nothing = _least(readings, range(line["looks"], line["runs"], 2))
        found[kernel] = np.maximum(_least(readings, range(line["runs"] + 2, line["end"], 2)) - nothing, 0)
    return found, failed


def _least(readings: np.ndarray, starts: Iterable[int]) -> np.ndarray:
    """The smallest difference of two readings, of those that begin at some of them."""
    differences = [readings[start + 1] - readings[start] for start in starts]
    return min(differences, key=lambda difference: int(difference[:INSTRUCTIONS].sum()))


def name_of(runtime: str, half: bool) -> str:
    """How a runtime's file of counts is called."""
    return f"{runtime}-half" if half else runtime


def kept(home: Path, runtime: str, half: bool) -> Path:
    """Where a user's own counts are kept."""
    return home / "counts" / f"{name_of(runtime, half)}.csv.gz"


def load(path: Path) -> Counts:
    """Counts in a file; none where there is no file.

    Raises
    ------
    TableError
        The file holds no counts.
    """
    if not path.exists():
        return {}
    try:
        rows = pd.read_csv(path, keep_default_na=False).to_dict("records")
        return {
            Kernel.from_row({str(key): value for key, value in row.items()}): np.array(
                [int(row[name]) for name in CLASSES]
            )
            for row in rows
        }
    except (KeyError, ValueError, TypeError, OSError, EOFError) as error:
        raise TableError(f"{path} holds no counts ({error}); remove it, and count again") from error


def save(counts: Counts, path: Path) -> None:
    """Write counts in one step, in the order of the kernels' names: the same counts make the same file."""
    ordered = sorted(counts.items(), key=lambda item: item[0].key)
    rows = [kernel.to_row() | dict(zip(CLASSES, map(int, values), strict=True)) for kernel, values in ordered]
    text = pd.DataFrame(rows).to_csv(index=False)
    with replacing(path) as temporary:
        temporary.write_bytes(gzip.compress(text.encode(), mtime=0))  # of no date: equal counts, equal files
