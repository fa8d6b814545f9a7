"""What the work of emulated kernels costs on a core, fitted to whole networks' times on boards that have it.

All boards of a core share its cycles for each kind of work; a board adds its clock and four factors: of all
cycles (1 if the record's clock is right), of memory, of streamed memory and of divisions (the records were
made with ncnn of several years, which took exponentials and fully connected layers differently). Everything
starts from what such cores are known to take and moves away from it only as far as the timings ask, on a
logarithmic scale: nothing can become negative. With several threads, a board's one-thread prices are
multiplied by four more factors.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import least_squares

from latency_models.emulation.records import Board
from latency_models.emulation.work import CYCLES, IN_CYCLES, KINDS

# Per unit of each kind: cycles, then nanoseconds, then microseconds; in-order cores (A53, A55) wait for
# results.
_IN_ORDER = np.array([1.2, 0.8, 20.0, 1.5, 1.2, 2.0, 1.5, 0.6, 12.0, 12.0, 12.0, 4.0])
_OUT_OF_ORDER = np.array([1.05, 0.5, 10.0, 1.0, 0.6, 1.0, 0.6, 0.3, 6.0, 12.0, 12.0, 4.0])
_WIDE = np.array([0.55, 0.3, 6.0, 0.5, 0.4, 0.6, 0.4, 0.2, 5.0, 8.0, 8.0, 3.0])
_START = {"cortex-a53": _IN_ORDER, "cortex-a55": _IN_ORDER, "cortex-a76": _WIDE}
# How far they may be from that, as a standard deviation of the logarithm.
_FREE = np.array([0.22, 0.45, 0.75, 0.75, 0.75, 0.75, 0.75, 0.9, 0.9, 0.75, 0.75, 1.0])
_BOARD_FREE = np.array([0.25, 0.5, 1.0, 0.7])
_THREADS_START = np.array([0.3, 0.6, 0.6, 2.0])  # of four threads: cycles, memory, streamed memory, kernels
_THREADS_FREE = np.array([0.2, 0.5, 0.5, 0.7])
_TOLERANCE = 0.04  # of a network's time; errors beyond it count less and less
_DIVISION = list(CYCLES).index("vector division")
_FAR, _STREAMED = KINDS.index("far lines"), KINDS.index("streamed lines")


@dataclass(frozen=True)
class Timing:
    """A network's work in the order of `KINDS` and its milliseconds on a board."""

    board: Board
    network: str
    work: np.ndarray
    ms: float


@dataclass(frozen=True)
class Costs:
    """A core's costs, and its boards' factors by name."""

    core: str
    units: np.ndarray
    factors: Mapping[str, np.ndarray]

    def prices_us(self, name: str, clock_ghz: float) -> np.ndarray:
        """Microseconds for each kind of work on a board; a board that is not known has the core's own."""
        return _prices(self.units, self.factors.get(name, np.ones(len(_BOARD_FREE))), clock_ghz)


def fit(core: str, timings: Sequence[Timing]) -> Costs:
    """The costs of a core with one thread."""
    names = list(dict.fromkeys(timing.board.name for timing in timings))
    place = {name: number for number, name in enumerate(names)}
    start = _START.get(core, _OUT_OF_ORDER)

    def costs(moves: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        own = moves[len(start) :].reshape(len(names), len(_BOARD_FREE))
        return start * np.exp(_FREE * moves[: len(start)]), np.exp(_BOARD_FREE * own)

    def misses(moves: np.ndarray) -> np.ndarray:
        units, factors = costs(moves)
        us = [t.work @ _prices(units, factors[place[t.board.name]], t.board.clock_ghz) for t in timings]
        return np.concatenate([_softened(np.log(np.array(us) / _us(timings))), moves])

    found = least_squares(misses, np.zeros(len(start) + len(names) * len(_BOARD_FREE))).x
    units, factors = costs(found)
    return Costs(core, units, dict(zip(names, factors, strict=True)))


def with_threads(one: np.ndarray, timings: Sequence[Timing]) -> np.ndarray:
    """A board's prices with several threads, from those with one and its timings with several."""

    def misses(moves: np.ndarray) -> np.ndarray:
        us = np.array([t.work @ _threaded(one, moves) for t in timings])
        return np.concatenate([_softened(np.log(us / _us(timings))), moves])

    return _threaded(one, least_squares(misses, np.zeros(len(_THREADS_START))).x)


def _threaded(one: np.ndarray, moves: np.ndarray) -> np.ndarray:
    cycles, memory, streamed, kernels = _THREADS_START * np.exp(_THREADS_FREE * moves)
    factors = np.full(len(KINDS), cycles)
    factors[_FAR], factors[_STREAMED], factors[-1] = memory, streamed, kernels
    return one * factors


def _prices(units: np.ndarray, factors: np.ndarray, clock_ghz: float) -> np.ndarray:
    cycles, memory, streamed, division = factors
    prices = units.copy()
    prices[:IN_CYCLES] *= cycles / clock_ghz / 1000
    prices[_DIVISION] *= division
    prices[_FAR] *= memory / 1000
    prices[_STREAMED] *= streamed / 1000
    return prices


def _us(timings: Sequence[Timing]) -> np.ndarray:
    return np.array([1000 * timing.ms for timing in timings])


def _softened(errors: np.ndarray) -> np.ndarray:
    """Errors whose squares grow like the errors themselves beyond the tolerance."""
    scaled = errors / _TOLERANCE
    return np.sign(scaled) * np.sqrt(2 * (np.sqrt(1 + scaled**2) - 1))
