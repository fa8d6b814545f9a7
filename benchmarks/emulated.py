"""How well emulated targets predict what they were not fitted to (three minutes; no emulator needed).

Every network left out of the fit, on every board; every board left out, of which only the core and the clock
are known; how far two boards with one core are apart, which no model of the core can go below; counts that
are interpolated against counts that were made; and the paper's plan on one target of each kind.

python benchmarks/emulated.py [--whole]     # also whole networks under the emulator (ten minutes more)
"""

import argparse
import itertools
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parents[1]))

from latency_models import calibrate
from latency_models.emulation import records
from latency_models.emulation.between import Between
from latency_models.emulation.counts import INSTRUCTIONS
from latency_models.emulation.work import Worker
from latency_models.predict import UnknownKernelError
from latency_models.target import load, names
from merges.plan import Plan
from search.scoring.device import Device
from search.scoring.latency import Latencies
from search.space import presets
from training.workbench import structure

_CORES = tuple(dict.fromkeys(board.core for board in records.BOARDS))
_SINGLE = ("cortex-a53", "cortex-a57", "cortex-a72", "cortex-a73")  # compute in single precision
_SIDE_BY_SIDE = (
    "arm-a57",
    "arm-a57-ncnn",
    "raspberry-pi-3",
    "raspberry-pi-4",
    "raspberry-pi-4-4t",
    "raspberry-pi-5",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--whole", action="store_true")
    given = parser.parse_args()
    say = Console(width=200).print
    say(networks_left_out())
    say(boards_left_out())
    say(between_boards())
    say(between_kernels())
    say(side_by_side())
    if given.whole:
        from benchmarks.emulated_whole import sums

        say(sums())


def networks_left_out() -> Table:
    table = _table("one network left out of the fit: error in %", "target", "mean", "worst", *records.PLAIN)
    for name in names():
        target = load(name)
        if target.board and target.runtime == "ncnn":
            table.add_row(name, *_errors(calibrate.left_out(target)))
    return table


def boards_left_out() -> Table:
    title = "one board left out of the fit, its core and clock known, one thread: error in %"
    table = _table(title, "board", "core", "mean", "worst", *records.PLAIN)
    means: list[float] = []
    for board in records.BOARDS:
        found = calibrate.board_left_out(board)
        if found:
            table.add_row(board.name, board.core, *_errors(found))
            if board.core in _SINGLE:
                means.append(float(np.mean(np.abs(list(found.values())))))
    table.caption = f"mean of the boards with {', '.join(_SINGLE)}: {100 * np.mean(means):.1f}"
    return table


def between_boards() -> Table:
    """What two boards with one core take, each times its clock."""
    title = "boards with one core: how far two are apart in the cycles of a network"
    table = _table(title, "core", "threads", "networks", "middle", "one in ten differs by")
    for core, threads in itertools.product(_CORES, (1, 4)):
        cycles: dict[str, list[float]] = defaultdict(list)
        for timing in calibrate.timings(core, threads):
            if timing.network in records.PLAIN:
                cycles[timing.network].append(timing.ms * timing.board.clock_ghz)
        apart = [
            max(pair) / min(pair) - 1
            for values in cycles.values()
            for pair in itertools.combinations(values, 2)
        ]
        if apart:
            middle, most = np.quantile(apart, (0.5, 0.9))
            table.add_row(
                core, str(threads), str(len(cycles)), f"{100 * middle:.0f} %", f"{100 * most:.0f} %"
            )
    return table


def between_kernels() -> Table:
    """Instructions of counted kernels from the other ones, and of networks whose kernels are all left out."""
    title = "interpolated counts against counts (instructions): error in % a kernel, and of a network's sum"
    table = _table(
        title, "counts", "kernels", "mean", "median", "networks, mean", "worst", "worst operations"
    )
    for runtime, half in (("ncnn", False), ("ncnn", True), ("onnxruntime", False)):
        worker = Worker(runtime, half)
        left_out = Between(worker.counts).left_out()
        made = {kernel: worker.counts[kernel][:INSTRUCTIONS].sum() for kernel in left_out}
        found = {kernel: values[:INSTRUCTIONS].sum() for kernel, values in left_out.items()}
        errors = np.array([abs(found[kernel] / max(made[kernel], 1) - 1) for kernel in left_out])
        sums = _sums(made, found) if runtime == "ncnn" else []
        cells = (errors.mean(), np.median(errors), *((np.mean(sums), max(sums)) if sums else ()))
        name = f"{runtime}, half precision" if half else runtime
        worst = "; ".join(_worst(left_out, made, found))
        table.add_row(
            name, str(len(errors)), *(f"{100 * cell:.1f}" for cell in cells), *[""] * (4 - len(cells)), worst
        )
    return table


def _sums(made: dict, found: dict) -> list[float]:
    """Errors of the records' networks, all of whose kernels are left out."""
    return [
        abs(sum(found[k] for k in kernels if k in found) / sum(made[k] for k in kernels if k in made) - 1)
        for name, kernels in records.networks().items()
        if name in records.PLAIN
    ]


def _worst(kernels: Iterable, made: dict, found: dict) -> list[str]:
    by_kind = defaultdict(list)
    for kernel in kernels:
        by_kind[kernel.op].append(abs(found[kernel] / max(made[kernel], 1) - 1))
    means = sorted(
        ((np.mean(errors), op, len(errors)) for op, errors in by_kind.items()), key=lambda m: -m[0]
    )
    return [f"{op} {100 * mean:.0f} % ({count})" for mean, op, count in means[:4]]


def side_by_side() -> Table:
    """The paper's plan where runtimes differ."""
    table = _table(
        "the paper's plan of BVLC GoogLeNet",
        "target",
        "runtime",
        "untouched ms",
        "plan ms",
        "speed-up",
        "error %",
    )
    network = structure("bvlc_googlenet")
    with tempfile.TemporaryDirectory() as home:
        for name in (*_SIDE_BY_SIDE, *(n for n in names() if n.endswith("-onnxruntime"))):
            latencies = Latencies(network, Device.named(name, Path(home)))
            try:
                plan = Plan.make(network, presets.preset("paper", network))
                untouched, merged = latencies.score({}), latencies.score(plan)
            except UnknownKernelError as error:
                table.add_row(name, str(error))
                continue
            ms = (f"{untouched.latency_ms:.1f}", f"{merged.latency_ms:.1f}")
            table.add_row(
                name, load(name).runtime, *ms, f"{merged.speedup:.2f}x", f"{100 * untouched.total.error:.0f}"
            )
    return table


def _table(title: str, *headings: str) -> Table:
    table = Table(title=title)
    for place, heading in enumerate(headings):
        table.add_column(heading, justify="right" if place else "left", no_wrap=not place)
    return table


def _errors(found: dict[str, float]) -> list[str]:
    errors = [abs(value) for value in found.values()]
    cells = [f"{100 * found[name]:+.0f}" if name in found else "" for name in records.PLAIN]
    return [f"{100 * np.mean(errors):.1f}", f"{100 * max(errors):.0f}", *cells]


if __name__ == "__main__":
    main()
