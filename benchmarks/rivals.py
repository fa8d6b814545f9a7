"""Ours beside what else makes a network faster: same teacher, images, passes and training.

python benchmarks/rivals.py digits                                 # everything, under 15 minutes
python benchmarks/rivals.py googlenet --data IMAGENETTE [--methods ours,taylor] [--seeds 0,1,2]
python benchmarks/rivals.py googlenet --only-timing                # time what has been trained, and report
python benchmarks/rivals.py googlenet --only-timing --processor zen1   # two call themselves alike
python benchmarks/rivals.py googlenet --price raspberry-pi-4       # the kept plans on any target

Every finished cell (method, setting, seed) is kept as JSON in benchmarks/results/rivals/CASE with what made
it, and not made again; files and checkpoints are in --home, where an interrupted cell goes on. All networks
are trained by the same distillation (teacher's answers and labels, augmented photos) for as many passes, at
the learning rate that is best for their method on held-back images, of the same few, tried at its middle
setting. `untouched` is the teacher trained on for the same passes; drops are counted from it. A case has one
teacher and one search a method; seeds are of trainings (order and augmentation, gradients to prune by). Then
all ONNX files are timed in turn, with one thread and with all: they are kept without weights, to be timed
again anywhere. A cell takes some 6 core-minutes for GoogLeNet at 64 pixels (twice that where rates are
tried), the teacher 14, a search 3. Processes that are started alike share the cells. --device cuda trains on
a GPU; --seconds starts no cell that may not fit.
"""

import argparse
import fcntl
import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

import torch  # noqa: E402
from rich.console import Console  # noqa: E402

from benchmarks import rival_curves  # noqa: E402
from benchmarks.rival_cases import CASES, Bench, Cell  # noqa: E402
from benchmarks.rival_cells import speedup_on, work  # noqa: E402
from benchmarks.rival_methods import METHODS, cells_of  # noqa: E402
from search.commands import terminal  # noqa: E402

RESULTS = ROOT / "benchmarks/results/rivals"
_PATIENCE = 2.0  # seconds
_FIRST = "ours,taylor,width,depth"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("case", choices=CASES, help="digits, or a network on photos")
    parser.add_argument("--data", default="", help="folder with train and val, one sub-folder per class")
    parser.add_argument("--methods", default=_FIRST, help=f"of {', '.join(METHODS)}")
    parser.add_argument("--seeds", default="0")
    parser.add_argument("--home", type=Path, default=ROOT / "studies/rivals")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="start no cell after so long")
    parser.add_argument("--price", metavar="TARGET", help="price the kept plans on a target, and stop")
    parser.add_argument(
        "--processor", default="", help="name that its timings are kept by  [default: what it calls itself]"
    )
    parser.add_argument("--only-timing", action="store_true", help="train nothing")
    parser.add_argument("--only-training", action="store_true", help="time nothing")
    given = parser.parse_args()
    unknown = set(given.methods.split(",")) - set(METHODS)
    if unknown:
        parser.error(f"unknown method {unknown.pop()!r}; expected some of {', '.join(METHODS)}")
    if given.device == "cuda" and not torch.cuda.is_available():
        parser.error("--device is cuda, and there is no GPU here; leave it out")
    if not (given.data or CASES[given.case].data or given.only_timing or given.price):
        parser.error(f"{given.case} needs images; give --data FOLDER")
    return given


def main() -> None:
    """Make what is missing, time all, and report."""
    given = arguments()
    kept, models = RESULTS / given.case, given.home / given.case
    methods, seeds = given.methods.split(","), list(map(int, given.seeds.split(",")))
    if given.price:
        plans = [cell for cell in kept_cells(kept) if cell.get("plan") is not None]
        for cell in plans:
            print(f"{rival_curves.name_of(cell)}: {speedup_on(cell, given.price, given.home):.2f}x")
        return
    if not given.only_timing:
        with terminal.bars() as watch:
            case = CASES[given.case]
            folder = RESULTS / (case.like or given.case) / "plans"
            made = Bench(case, given.data, given.home, folder, watch)
            _make(cells_of(given.case, methods, seeds), given.seconds, made, kept, models)
    if given.only_training:
        return
    cells = kept_cells(kept)
    timings = rival_curves.timings_in(kept, given.processor)
    rival_curves.time_all(cells, kept, timings)
    for table in rival_curves.report(given.case, cells, timings):
        Console(width=160).print(table)


def kept_cells(folder: Path) -> list[dict[str, Any]]:
    """The finished cells of a case."""
    return [json.loads(path.read_text()) for path in sorted(folder.glob("*-*.json"))]


def _make(wanted: list[Cell], seconds: float, made: Bench, kept: Path, models: Path) -> None:
    """Make the cells that are not there and that no other process makes."""
    since, longest, first = time.monotonic(), 0.0, {cell.method: cell for cell in reversed(wanted)}
    waiting = [cell for cell in wanted if not (kept / f"{cell.name}.json").exists()]
    while waiting:
        cell = waiting.pop(0)
        if time.monotonic() - since + longest > seconds:
            terminal.note(f"{cell.name} and what follows: no time left")
            return
        ready = cell == first[cell.method] or (kept / f"{first[cell.method].name}.json").exists()
        with alone(models / f"{cell.name}.lock") as free:
            if (kept / f"{cell.name}.json").exists():
                continue
            if not (free and ready):  # another process makes it, or finds its method's rate
                waiting.append(cell)
                time.sleep(_PATIENCE)
                continue
            started = time.monotonic()
            done: dict[str, Any] = work(cell, made, kept, models)
            longest = max(longest, time.monotonic() - started)
            terminal.note(f"{cell.name}: {done.get('failed') or format(done['top1'], '.2f') + ' % top-1'}")


@contextmanager
def alone(path: Path) -> Iterator[bool]:
    """Whether no other process holds this file; it is held, and free again when this process ends."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


if __name__ == "__main__":
    main()
