"""Rounds: every kernel in turn among all others of its group, beside a reference."""

from __future__ import annotations

import statistics
import time

from .timed import Timed

_WARM_UPS = 2
_FEWEST_ROUNDS, _MOST_ROUNDS = 9, 31
_ENOUGH_SPREAD = 0.02
_NOISY_SPREAD = 0.05
_ENOUGH_US = 1.0
_LEAST_US = 0.001  # what looking costs is taken off: nothing may be left of a short kernel


class Turns:
    """The samples of one kernel, one a round: a second call at once would find its weights in the cache."""

    def __init__(self, timed: Timed) -> None:
        self.timed = timed
        for _ in range(_WARM_UPS):
            timed.run()
        self.walls_us: list[float] = []

    def sample(self, drift: float) -> None:
        self.walls_us.append(wall_us(self.timed) / drift)

    def steady(self) -> bool:
        median, spread = quartiles(self.walls_us)
        return spread <= max(_ENOUGH_SPREAD * median, _ENOUGH_US)

    def result(self, drift: list[float]) -> dict:
        """Middle and half the distance between the quartiles, over rounds; a wide one is called noisy.

        The middle is the mean without the tenth at either end: a median of whole microseconds, as runtimes
        report them, is too coarse for short kernels, and what now and then disturbs a kernel somewhere in a
        network is part of that network's time.
        """
        samples = [us / factor for us, factor in zip(self.timed.samples_us()[_WARM_UPS:], drift)]
        _, spread = quartiles(samples)
        tenth = len(samples) // 10
        median = max(statistics.fmean(sorted(samples)[tenth : len(samples) - tenth]), _LEAST_US)
        noisy = spread > max(_NOISY_SPREAD * median, _ENOUGH_US)
        return {"median_us": median, "spread_us": spread, "repeats": len(samples), "noisy": noisy}


class Reference:
    """A kernel that tells how much slower than at its best the machine is now (never less than 1)."""

    def __init__(self, timed: Timed) -> None:
        self.timed = timed
        for _ in range(_WARM_UPS):
            timed.run()
        self.best_us = min(wall_us(timed) for _ in range(_FEWEST_ROUNDS))

    def drift(self) -> float:
        now_us = min(wall_us(self.timed) for _ in range(3))
        self.best_us = min(self.best_us, now_us)
        return now_us / self.best_us


def take_turns(kernels: list[Turns], reference: Reference, more_bytes: int) -> list[float]:
    """Run all kernels round after round until their times are steady; the drift of each round.

    Drift is taken out of the round's times. Every round also copies `more_bytes` of other memory: what the
    rest of the network would touch.
    """
    rest = bytearray(more_bytes // 2)
    drift: list[float] = []
    active = list(kernels)
    while active and len(drift) < _MOST_ROUNDS:
        drift.append(reference.drift())
        bytes(rest)
        for kernel in active:
            kernel.sample(drift[-1])
        if len(drift) >= _FEWEST_ROUNDS:
            active = [kernel for kernel in active if not kernel.steady()]
    return drift


def wall_us(timed: Timed) -> float:
    start = time.perf_counter()
    timed.run()
    return (time.perf_counter() - start) * 1e6


def quartiles(values: list[float]) -> tuple[float, float]:
    """Median and half the distance between the quartiles."""
    low, median, high = statistics.quantiles(values, n=4, method="inclusive")
    return median, (high - low) / 2
