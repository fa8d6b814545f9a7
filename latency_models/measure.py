"""Time kernels on this machine: warm-up, interleaved rounds, median and spread, drift control."""

import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from latency_models.kernel import Kernel
from latency_models.runtime import Run, Runtime
from latency_models.table import Measurement

REFERENCE = Kernel("conv", (64, 28, 28), (64, 28, 28), (3, 3), (1, 1), (1, 1), activation="relu")
_FEWEST_ROUNDS, _MOST_ROUNDS = 7, 25
_ENOUGH_SPREAD = 0.02
_SAMPLE_S = 1e-3


class NotMeasurableError(RuntimeError):
    """A runtime cannot be run on this machine, or does not know an operation."""


@dataclass
class _Timing:
    run: Run
    calls: int
    samples_us: list[float] = field(default_factory=list)

    def sample(self, factor: float) -> None:
        self.samples_us.append(_time_us(self.run, self.calls) / factor)

    def summary(self) -> tuple[float, float]:
        low, median, high = np.percentile(self.samples_us, [25, 50, 75])
        return float(median), float(high - low) / 2

    def settled(self) -> bool:
        median, spread = self.summary()
        return spread <= _ENOUGH_SPREAD * median


def measure(
    runtime: Runtime,
    threads: int,
    kernels: Sequence[Kernel],
    progress: Callable[[int, int], None] = lambda _, __: None,
) -> list[Measurement]:
    """Time each kernel once, all in turn, round after round, until its spread is small.

    A reference kernel runs in every round; where it is slower than usual the round's times are
    scaled back by as much (a drifting clock moves all kernels alike).

    Raises
    ------
    NotMeasurableError
        The runtime cannot be run here, or has no such operation.
    """
    timings: dict[Kernel, _Timing] = {}
    rounds_in_all = len(kernels) * (1 + _FEWEST_ROUNDS)
    reference = _prepare(runtime, REFERENCE, threads)
    for done, kernel in enumerate(kernels):
        timings[kernel] = _prepare(runtime, kernel, threads)
        progress(done + 1, rounds_in_all)
    usual_us = min(_time_us(reference.run, reference.calls) for _ in range(_FEWEST_ROUNDS))
    waiting = list(timings.values())
    for turn in range(_MOST_ROUNDS):
        factor = max(1.0, _time_us(reference.run, reference.calls) / usual_us)
        for timing in waiting:
            timing.sample(factor)
        if turn + 1 >= _FEWEST_ROUNDS:
            waiting = [timing for timing in waiting if not timing.settled()]
        progress(min(len(kernels) * (turn + 2), rounds_in_all), rounds_in_all)
    machine = platform.processor() or platform.machine()
    source = f"{runtime.name} {runtime.version()}, {threads} thread(s), {machine}"
    return [
        Measurement(
            kernel,
            *timing.summary(),
            repeats=len(timing.samples_us),
            source=f"{source}, {time.strftime('%Y-%m-%d')}",
        )
        for kernel, timing in timings.items()
    ]


def side_by_side(runs: Sequence[Run], rounds: int = 15) -> list[tuple[float, float]]:
    """Median and spread in microseconds of some calls, timed in turn so that drift hits all alike."""
    timings = [_warmed(run) for run in runs]
    for _ in range(rounds):
        for timing in timings:
            timing.sample(1.0)
    return [timing.summary() for timing in timings]


def _prepare(runtime: Runtime, kernel: Kernel, threads: int) -> _Timing:
    try:
        run = runtime.prepare(kernel, threads)
    except NotImplementedError as error:
        raise NotMeasurableError(f"{runtime.name}: {error} ({kernel.key})") from error
    if run is None:
        raise NotMeasurableError(
            f"{runtime.name} cannot be run on this machine; its targets know shipped tables only"
        )
    return _warmed(run)


def _warmed(run: Run) -> _Timing:
    run()
    once_us = min(_time_us(run, 1) for _ in range(3))
    return _Timing(run, calls=max(1, round(_SAMPLE_S * 1e6 / max(once_us, 1.0))))


def _time_us(run: Run, calls: int) -> float:
    start = time.perf_counter()
    for _ in range(calls):
        run()
    return (time.perf_counter() - start) * 1e6 / calls
