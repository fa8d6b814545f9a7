"""Fit the prices of emulated targets: ``python -m latency_models.calibrate`` (a minute).

Writes ``calibrations/NAME.json`` for every core and every target that names one: what each kind of work
costs, fitted to the whole-network timings of all boards of the records that have that core, and how far
networks left out of the fit are missed.
"""

import json
from collections.abc import Iterable
from functools import cache

import numpy as np

from latency_models.emulation import costs
from latency_models.emulation.costs import Costs, Timing
from latency_models.emulation.records import BOARDS, PLAIN, Board, networks, times_ms
from latency_models.emulation.work import KINDS, Worker, in_half
from latency_models.files import replacing
from latency_models.target import CALIBRATIONS, Target, load, names

_RECORDED = "ncnn"  # what the records were made with


@cache
def work_of_networks(half: bool) -> dict[str, np.ndarray]:
    """The work of the networks of the records, in the order of `KINDS`."""
    worker = Worker(_RECORDED, half)
    return {
        name: np.sum([worker.of(kernel).amounts for kernel in kernels], axis=0)
        for name, kernels in networks().items()
    }


@cache
def timings(core: str, threads: int = 1) -> tuple[Timing, ...]:
    """All that the records say of boards with a core."""
    work = work_of_networks(in_half(_RECORDED, core))
    return tuple(
        Timing(board, name, work[name], ms)
        for board in BOARDS
        if board.core == core
        for name, ms in times_ms(board, threads).items()
    )


def prices(target: Target, without: Iterable[str] = ()) -> np.ndarray:
    """A target's microseconds for each kind of work, fitted without some networks."""
    missing = frozenset(without)
    one = _costs(target.core, missing).prices_us(target.board, target.clock_ghz)
    if target.threads == 1:
        return one
    several = (t for t in timings(target.core, target.threads) if t.network not in missing)
    own = [timing for timing in several if timing.board.name == target.board]
    if own:
        return costs.with_threads(one, own)
    raise LookupError(f"no record of {target.board or target.core} with {target.threads} threads")


@cache
def _costs(core: str, without: frozenset[str]) -> Costs:
    return costs.fit(core, [timing for timing in timings(core) if timing.network not in without])


def left_out(target: Target) -> dict[str, float]:
    """Relative error of every plain network of a target's board when it is left out of the fit."""
    found: dict[str, float] = {}
    for timing in timings(target.core, target.threads):
        if timing.board.name == target.board and timing.network in PLAIN:
            us = float(timing.work @ prices(target, [timing.network]))
            found[timing.network] = us / (1000 * timing.ms) - 1
    return found


def board_left_out(board: Board) -> dict[str, float]:
    """Relative error of every plain network on a board of which only the core and the clock are known."""
    others = [timing for timing in timings(board.core) if timing.board != board]
    own = [timing for timing in timings(board.core) if timing.board == board and timing.network in PLAIN]
    found = costs.fit(board.core, others).prices_us("", board.clock_ghz)
    return {timing.network: float(timing.work @ found) / (1000 * timing.ms) - 1 for timing in own}


def calibrate(target: Target) -> dict[str, object]:
    """The content of a target's calibration file."""
    errors = left_out(target)
    return {
        "prices_us": dict(zip(KINDS, prices(target).tolist(), strict=True)),
        "error": float(np.mean(np.abs(list(errors.values())))),
        "left_out": {name: round(error, 4) for name, error in errors.items()},
    }


def calibrate_core(core: str) -> dict[str, object]:
    """The content of a core's calibration file, for boards of which only the core and the clock are known."""
    boards = dict.fromkeys(timing.board for timing in timings(core))
    errors = [abs(error) for board in boards for error in board_left_out(board).values()]
    found = dict(zip(KINDS, _costs(core, frozenset()).prices_us("", 1.0).tolist(), strict=True))
    return {"prices_us": found, "error": float(np.mean(errors))}


def _write(name: str, found: dict[str, object]) -> None:
    with replacing(CALIBRATIONS / f"{name}.json") as path:
        path.write_text(json.dumps(found, indent=1) + "\n")


def main() -> None:
    for core in dict.fromkeys(board.core for board in BOARDS):
        _write(core, calibrate_core(core))
    for name in names():
        target = load(name)
        if target.core:
            found = calibrate(target)
            _write(name, found)
            print(f"{name}: {100 * float(str(found['error'])):.1f} % mean error on plain networks left out")


if __name__ == "__main__":
    main()
