"""Curves of accuracy against measured speed-up, from the cells of ``rivals.py``."""

import json
import re
import sys
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks import rival_files  # noqa: E402
from benchmarks.rival_cases import INT8, OURS, UNTOUCHED, Cell  # noqa: E402
from latency_models import bench, board  # noqa: E402
from latency_models.board.machine import machine  # noqa: E402
from latency_models.remote import measure_on  # noqa: E402
from training.files import replacing  # noqa: E402

MARKS = (0.5, 1.0, 2.0)
_RESAMPLES, _SEED = 2000, 0
Cells = Sequence[dict[str, Any]]


def name_of(cell: dict[str, Any]) -> str:
    return Cell(cell["case"], cell["method"], cell["setting"], cell["seed"]).name


def timings_in(kept: Path, processor: str) -> Path:
    """The file that holds the timings of a processor; without a name, of the one that this machine has."""
    here = re.sub(r"[^a-z0-9]+", "-", machine("", "")["cpu"].lower()).strip("-")
    return kept / "timings" / f"{processor or here}.json"


def time_all(cells: Cells, kept: Path, path: Path) -> None:
    """Time all cells' networks in turn, seed by seed, beside their seed's untouched network, into `path`."""
    timings: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    for seed in sorted({cell["seed"] for cell in cells}):
        names = [name_of(cell) for cell in cells if cell["seed"] == seed and "top1" in cell]
        names = [name for name in names if (kept / f"{name}{rival_files.SUFFIX}").exists()]
        if not names:
            continue  # from before files were kept: what was timed stays
        names.sort(key=lambda name: not name.startswith(UNTOUCHED))
        with tempfile.TemporaryDirectory() as temporary:
            files, folder = [Path(temporary) / f"{name}.onnx" for name in names], Path(temporary) / "timed"
            for file in files:
                rival_files.fill(kept / f"{file.stem}{rival_files.SUFFIX}", file)
            folder.mkdir()
            bench.write(folder, files)
            measure_on(bench.Here(folder), folder, lambda done, total: None)
            measured_on, found = bench.read(folder / board.RESULTS)
        for timing in found:
            entry = timings.setdefault(Path(timing.model).stem, {})
            entry["machine"] = measured_on
            entry[str(timing.threads)] = {
                "ms": timing.median_ms,
                "speedup": timing.ratio,
                "low": timing.low,
                "high": timing.high,
            }
    path.parent.mkdir(exist_ok=True)
    with replacing(path) as written:
        written.write_text(json.dumps(timings, indent=1) + "\n")


def report(case: str, cells: Cells, path: Path) -> list[Table]:
    """The cells, and for every mark each method's speed-up there, with the timings in `path`."""
    timings = json.loads(path.read_text())
    return [_cells_table(case, cells, timings), _marks_table(case, cells, timings)]


def _cells_table(case: str, cells: Cells, timings: dict[str, Any]) -> Table:
    table = Table(title=f"{case}: cells, trained alike; drops are from the untouched network trained on")
    for heading in (
        *("method", "setting", "seed", "top-1 %", "drop", "1 thread", "all threads"),
        *("arm-a57 ms", "file MB", "seconds"),
    ):
        table.add_column(heading, justify="left" if heading == "method" else "right")
    first = {cell["seed"]: cell["top1"] for cell in cells if cell["method"] == UNTOUCHED}
    for cell in sorted(cells, key=lambda c: (c["seed"], c["method"] != UNTOUCHED, c["method"], c["setting"])):
        start = (cell["method"], f"{cell['setting']:g}", str(cell["seed"]))
        if "top1" not in cell:
            table.add_row(*start, cell["failed"])
            continue
        timed = timings.get(name_of(cell), {})
        speeds = [f"{t['speedup']:.2f}x" for threads, t in sorted(timed.items()) if threads != "machine"]
        ms = cell["priced"].get("arm-a57")
        table.add_row(
            *start,
            f"{cell['top1']:.2f}",
            f"{first[cell['seed']] - cell['top1']:.2f}" if cell["seed"] in first else "",
            *(speeds or ["", ""]),
            f"{ms:.1f}" if ms else "not known",
            f"{cell['file_bytes'] / 1e6:.1f}",
            str(cell["seconds"]),
        )
    return table


class Curves:
    """Right answers and speed-ups of one case, ready to be resampled."""

    def __init__(self, cells: Cells, timings: dict[str, Any]) -> None:
        done = [cell for cell in cells if "top1" in cell and "1" in timings.get(name_of(cell), {})]
        self.seeds = sorted({c["seed"] for c in done if c["method"] == UNTOUCHED})
        self.points: dict[tuple[str, int], list[tuple[float, np.ndarray]]] = defaultdict(list)
        for cell in done:
            bits = np.unpackbits(np.frombuffer(bytes.fromhex(cell["right"]), np.uint8))[: cell["images"]]
            speedup = timings[name_of(cell)]["1"]["speedup"]
            self.points[cell["method"], cell["seed"]].append((speedup, bits.astype(float)))
        self.images = len(next(iter(self.points.values()))[0][1]) if done else 0
        self.methods = sorted({method for method, _ in self.points} - {UNTOUCHED, INT8})

    def at(self, method: str, mark: float, seeds: Sequence[int], images: np.ndarray) -> float:
        """Mean over seeds of the speed-up where a curve passes the mark; NaN where no seed has one."""
        found = [self._of_seed(method, mark, seed, images) for seed in seeds if (method, seed) in self.points]
        return float(np.mean(found)) if found else float("nan")

    def _of_seed(self, method: str, mark: float, seed: int, images: np.ndarray) -> float:
        """The largest speed-up of the curve at the mark; that of its last point where it never passes it.

        A curve begins at the untouched network: no loss, as fast as it is.
        """
        base = self.points[UNTOUCHED, seed][0][1][images].mean()
        points = [(speed, 100 * (base - right[images].mean())) for speed, right in self.points[method, seed]]
        line = sorted([(1.0, 0.0), *points])
        best = 1.0
        for (slow, less), (fast, more) in pairwise(line):
            if more <= mark:
                best = max(best, fast)
            elif less <= mark:
                best = max(best, slow + (fast - slow) * (mark - less) / (more - less))
        return best

    def reaches(self, method: str, mark: float) -> bool:
        """Whether every seed has a point that loses more than the mark: else the curve ends before it."""
        for seed in self.seeds:
            base = self.points[UNTOUCHED, seed][0][1].mean()
            drops = [100 * (base - right.mean()) for _, right in self.points.get((method, seed), [])]
            if drops and max(drops) <= mark:
                return False
        return True


def _marks_table(case: str, cells: Cells, timings: dict[str, Any]) -> Table:
    curves = Curves(cells, timings)
    table = Table(title=f"{case}: measured speed-up at a loss of so many points, one thread")
    table.add_column("method")
    for mark in MARKS:
        table.add_column(f"{mark:g} points", justify="right")
        table.add_column("ours is times as fast (95 %)", justify="right")
    whole = np.arange(curves.images)
    for method in curves.methods:
        row = [method]
        for mark in MARKS:
            ends = not curves.reaches(method, mark)
            row.append(f"{'at least ' if ends else ''}{curves.at(method, mark, curves.seeds, whole):.2f}x")
            row.append("" if method == OURS else "not known" if ends else _ratio(curves, method, mark))
        table.add_row(*row)
    return table


def _ratio(curves: Curves, method: str, mark: float) -> str:
    """How many times as fast ours is at a mark, by the seeds of both; images and seeds drawn again."""
    seeds = [s for s in curves.seeds if {(OURS, s), (method, s)} <= curves.points.keys()]
    if not seeds:
        return "not known"

    def ratio(of: Sequence[int], images: np.ndarray) -> float:
        return curves.at(OURS, mark, of, images) / curves.at(method, mark, of, images)

    dice = np.random.default_rng(_SEED)
    drawn = [
        ratio(dice.choice(seeds, len(seeds)).tolist(), dice.integers(0, curves.images, curves.images))
        for _ in range(_RESAMPLES)
    ]
    low, high = np.quantile(drawn, (0.025, 0.975))
    least = "" if curves.reaches(OURS, mark) else "at least "
    return f"{least}{ratio(seeds, np.arange(curves.images)):.2f} ({low:.2f} - {high:.2f})"
