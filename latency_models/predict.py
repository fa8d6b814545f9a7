"""Latency of any kernel on a target: from its table, or from a physical model fitted to the table.

Emulated targets have no table: their kernels' instructions are counted, and priced.

Nothing unknown is ever counted as zero: a kernel whose operation the table does not hold is refused
by name.
"""

import hashlib
import json
import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from scipy.optimize import nnls

from latency_models.emulation import counts
from latency_models.emulation.work import IN_CYCLES, KINDS, Worker, in_half
from latency_models.kernel import Kernel
from latency_models.runtime import named
from latency_models.table import LatencyTable, Measurement
from latency_models.target import CALIBRATIONS, Target

BETWEEN_ERROR = 0.05  # of counts that are interpolated (benchmarks/emulated.py)
_ENOUGH = 2  # rows of an operation below which no model is fitted
# How far two measured operations that move memory alike (Caffe's relu and concat) are apart, by value moved.
_LIKE_ERROR = 0.5


class UnknownKernelError(LookupError):
    """The target's table says nothing about an operation; the message names it."""


@dataclass(frozen=True)
class Latency:
    """A time with what it rests on.

    Attributes
    ----------
    us : microseconds an image
    kind : ``measured``, ``interpolated`` or ``emulated``
    error : expected relative error (spread of the measurement, or of the model left-out)
    outside : whether the kernel is larger or smaller than everything measured for its operation
    """

    us: float
    kind: str
    error: float
    outside: bool = False


class Predictor:
    """Answers for one target; fits one model an operation when it first needs it."""

    def __init__(self, target: Target, table: LatencyTable, home: Path | None = None) -> None:
        """Under `home` are the user's own counts, of an emulated target."""
        self.target = target
        self.table = table
        self.home = home
        self.runtime = named(target.runtime)
        self._models: dict[str, _Model] = {}

    def latency(self, kernel: Kernel) -> Latency:
        """The time of one kernel.

        Raises
        ------
        UnknownKernelError
            The kernel is not in the table and no model can be fitted for its operation.
        """
        if self.target.core:
            return self._emulated(kernel)
        row = self.table.get(kernel)
        if row is not None:
            return Latency(row.median_us, self.target.kind, row.spread_us / max(row.median_us, 1e-9))
        found = self._model(kernel.op)
        if found is not None:
            return found.latency(kernel)
        other, times = self.runtime.like.get(kernel.op, ("", 0.0))
        found = self._model(other)
        if found is None:
            raise self._unknown(kernel)
        alike = found.latency(replace(kernel, op=other, in_shape=kernel.out_shape))
        return replace(alike, us=times * alike.us, error=_LIKE_ERROR)

    def _model(self, op: str) -> "_Model | None":
        """The model of an operation, fitted when it is first asked for; None where too little is known."""
        if op not in self._models and not self.target.grows:
            rows = [row for row in self.table.rows.values() if row.kernel.op == op]
            if len(rows) >= _ENOUGH:
                self._models[op] = _Model(rows, self.runtime.features)
        return self._models.get(op)

    def _unknown(self, kernel: Kernel) -> UnknownKernelError:
        name = self.target.name
        if self.target.remote:
            return UnknownKernelError(
                f"{name} has no measurement of {kernel.key}; measure this network there with "
                f"'profile --target {name} --ssh USER@HOST' (or --adb, or --kit and --import)"
            )
        return UnknownKernelError(
            f"{name} has no measurement of {kernel.op!r} layers ({kernel.key}), "
            "so this network's latency cannot be known there; choose another target "
            "('targets'), such as host, which measures what it needs"
        )

    def _emulated(self, kernel: Kernel) -> Latency:
        prices, error = self._calibration
        try:
            work = self._worker.of(kernel)
        except LookupError as lookup:
            raise UnknownKernelError(
                f"{self.target.name} knows no {kernel.op!r} layers ({kernel.key}): none was run under the "
                "emulator; choose another target, such as host"
            ) from lookup
        between = 0.0 if work.counted else BETWEEN_ERROR
        return Latency(float(work.amounts @ prices), "emulated", math.hypot(error, between))

    @property
    def known(self) -> Collection[Kernel]:
        """The kernels that were measured or, on an emulated target, counted."""
        return self._worker.counts.keys() if self.target.core else self.table.rows.keys()

    @property
    def fingerprint(self) -> str:
        """Of everything that latencies rest on: timings, or prices and counts."""
        prices, counted = (self._calibration[0], self._worker.counts) if self.target.core else ((), {})
        timed = {kernel: row.median_us for kernel, row in self.table.rows.items()}
        lines = [f"{kernel.key} {np.asarray(value)}" for kernel, value in {**timed, **counted}.items()]
        return hashlib.sha256("\n".join([str(prices), *sorted(lines)]).encode()).hexdigest()[:16]

    @cached_property
    def _worker(self) -> Worker:
        runtime, half = self.target.runtime, in_half(self.target.runtime, self.target.core)
        own = counts.load(counts.kept(self.home, runtime, half)) if self.home else {}
        return Worker(runtime, half, own)

    @property
    def calibration_error(self) -> float:
        """Mean error of an emulated target on networks that were left out of its fit."""
        return self._calibration[1]

    @cached_property
    def _calibration(self) -> tuple[np.ndarray, float]:
        own, of_core = (CALIBRATIONS / f"{name}.json" for name in (self.target.name, self.target.core))
        found = json.loads((own if own.exists() else of_core).read_text())
        prices = np.array([found["prices_us"][name] for name in KINDS])
        if not own.exists():  # a core's are at 1 GHz
            prices[:IN_CYCLES] /= self.target.clock_ghz
        return prices, float(found["error"])


class _Model:
    """Time as a sum of non-negative costs (work, traffic, a constant), fitted on relative errors."""

    def __init__(self, rows: Sequence[Measurement], features: Callable[[Kernel], np.ndarray]) -> None:
        self.rows = rows
        self.features = features
        self.weights = _fit(rows, self.features)
        sizes = [_size(row.kernel) for row in rows]
        self.low, self.high = min(sizes), max(sizes)

    @cached_property
    def error(self) -> float:
        """Mean relative error on networks left out of the fit (on single rows where there is one network)."""
        groups = [row.source.split()[0] for row in self.rows]
        folds: Sequence[object] = groups if len(set(groups)) > 1 else range(len(self.rows))
        errors: list[float] = []
        for fold in dict.fromkeys(folds):
            inside = [row for row, f in zip(self.rows, folds, strict=True) if f != fold]
            left_out = [row for row, f in zip(self.rows, folds, strict=True) if f == fold]
            weights = _fit(inside, self.features)
            errors += [abs(self.features(r.kernel) @ weights / r.median_us - 1) for r in left_out]
        return float(np.mean(errors))

    def latency(self, kernel: Kernel) -> Latency:
        outside = not self.low <= _size(kernel) <= self.high
        return Latency(float(self.features(kernel) @ self.weights), "interpolated", self.error, outside)


def _fit(rows: Sequence[Measurement], features: Callable[[Kernel], np.ndarray]) -> np.ndarray:
    times = np.array([row.median_us for row in rows])
    design = np.stack([features(row.kernel) for row in rows]) / times[:, None]
    scale = design.max(axis=0) + 1e-30
    weights, _ = nnls(design / scale, np.ones(len(rows)))
    return weights / scale


def _size(kernel: Kernel) -> int:
    return kernel.macs or kernel.in_shape[0] * kernel.in_shape[1] * kernel.in_shape[2]
