"""Rounds: every kernel in turn among all others of its group, beside a reference."""

from __future__ import annotations

import statistics
import time

from .timed import Timed

_WARM_UPS = 2
_ROUNDS = 7
_LOOKS = 9
_ENOUGH_SPREAD = 0.02
_NOISY_SPREAD = 0.05
_ENOUGH_US = 1.0
_LEAST_US = 0.001  # what looking costs is taken off: nothing may be left of a short kernel


class Turns:
    """A kernel in some rounds, run once in each: a second run at once would find its weights in the cache."""

    def __init__(self, timed: Timed) -> None:
        self.timed = timed
        for _ in range(_WARM_UPS):
            timed.run()

    def samples_us(self, drift: list[float]) -> list[float]:
        """Its own time in every round, without the machine's drift; ends its use."""
        return [us / factor for us, factor in zip(self.timed.samples_us()[_WARM_UPS:], drift)]


class Reference:
    """A kernel that tells how much slower than at its best the machine is now (never less than 1)."""

    def __init__(self, timed: Timed) -> None:
        self.timed = timed
        self.best_us = self._now_us()

    def drift(self) -> float:
        now_us = self._now_us()
        self.best_us = min(self.best_us, now_us)
        return now_us / self.best_us

    def _now_us(self) -> float:
        """The shortest of some runs: the first of them find the caches full of other kernels' memory."""
        return min(wall_us(self.timed) for _ in range(_LOOKS))


def take_turns(
    kernels: list[Turns], reference: Reference, more_bytes: int, rounds: int = _ROUNDS
) -> list[float]:
    """Run all kernels round after round; the drift of each round.

    Every round also copies `more_bytes` of other memory: what the rest of the network would touch.
    """
    rest = bytearray(more_bytes // 2)
    drift: list[float] = []
    for _ in range(rounds):
        drift.append(reference.drift())
        bytes(rest)
        for kernel in kernels:
            kernel.timed.run()
    return drift


def steady(samples_us: list[float]) -> bool:
    """Whether more samples would hardly move the middle."""
    median, spread = quartiles(samples_us)
    return spread <= max(_ENOUGH_SPREAD * median, _ENOUGH_US)


def summary(samples_us: list[float]) -> dict:
    """Middle and half the distance between the quartiles; a wide one is called noisy.

    The middle is the mean without the quarter at either end: a median of whole microseconds, as runtimes
    report them, is too coarse for short kernels.
    """
    _, spread = quartiles(samples_us)
    quarter = len(samples_us) // 4
    median = max(statistics.fmean(sorted(samples_us)[quarter : len(samples_us) - quarter]), _LEAST_US)
    noisy = spread > max(_NOISY_SPREAD * median, _ENOUGH_US)
    return {"median_us": median, "spread_us": spread, "repeats": len(samples_us), "noisy": noisy}


def wall_us(timed: Timed) -> float:
    start = time.perf_counter()
    timed.run()
    return (time.perf_counter() - start) * 1e6


def quartiles(values: list[float]) -> tuple[float, float]:
    """Median and half the distance between the quartiles."""
    low, median, high = statistics.quantiles(values, n=4, method="inclusive")
    return median, (high - low) / 2
