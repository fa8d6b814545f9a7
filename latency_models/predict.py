"""Latency of any kernel on a target: from its table, or from a physical model fitted to the table.

Nothing unknown is ever counted as zero: a kernel whose operation the table does not hold is refused
by name.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from scipy.optimize import nnls

from latency_models import shape_costs
from latency_models.kernel import Kernel
from latency_models.table import LatencyTable, Measurement
from latency_models.target import CALIBRATIONS, Target

_NARROW_MAPS = 24
_TILE, _RUN_OF_MAPS, _RUN_OF_TAPS = 8, 256, 512
_ENOUGH = 2  # rows of an operation below which no model is fitted
# Operations that a table lacks, as so many times another one that moves memory in the same way. Caffe adds
# maps by setting its output to zero and adding each input to it: 7 values moved where a copy moves 2; its
# norm copies, spreads out mean and variance, subtracts, divides and scales: 14 values. The error is how
# far two measured operations of this class (relu and concat) are apart, by value moved.
_LIKE = {
    "add": ("concat", 3.5),
    "batchnorm": ("concat", 7.0),
    "relu6": ("relu", 1.0),
    "narrow": ("concat", 1.0),
    "split": ("concat", 1.0),
    "transpose": ("concat", 1.0),
}
_LIKE_ERROR = 0.5


class UnknownKernelError(LookupError):
    """The target's table says nothing about an operation; the message names it."""


@dataclass(frozen=True)
class Latency:
    """A time with what it rests on.

    Attributes
    ----------
    us : microseconds an image
    kind : ``measured``, ``interpolated``, ``calibrated`` or ``emulated``
    error : expected relative error (spread of the measurement, or of the model left-out)
    outside : whether the kernel is larger or smaller than everything measured for its operation
    """

    us: float
    kind: str
    error: float
    outside: bool = False


class Predictor:
    """Answers for one target; fits one model an operation when it first needs it."""

    def __init__(self, target: Target, table: LatencyTable) -> None:
        self.target = target
        self.table = table
        self._models: dict[str, _Model] = {}

    def latency(self, kernel: Kernel) -> Latency:
        """The time of one kernel.

        Raises
        ------
        UnknownKernelError
            The kernel is not in the table and no model can be fitted for its operation.
        """
        if self.target.calibration:
            return self._calibrated(kernel)
        row = self.table.get(kernel)
        if row is not None:
            return Latency(row.median_us, self.target.kind, row.spread_us / max(row.median_us, 1e-9))
        found = self._model(kernel.op)
        if found is not None:
            return found.latency(kernel)
        other, times = _LIKE.get(kernel.op, ("", 0.0))
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
                self._models[op] = _Model(rows)
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

    def _calibrated(self, kernel: Kernel) -> Latency:
        prices, error = self._calibration
        try:
            us = float(shape_costs.features(kernel) @ prices)
        except LookupError as lookup:
            raise UnknownKernelError(
                f"{self.target.name} is calibrated from whole networks and knows no {kernel.op!r} layers "
                f"({kernel.key}), only {', '.join(shape_costs.KNOWN)}; choose another target, such as host"
            ) from lookup
        return Latency(us, "calibrated", error)

    @property
    def calibration_error(self) -> float:
        """Mean error of a calibrated target on networks that were left out."""
        return self._calibration[1]

    @cached_property
    def _calibration(self) -> tuple[np.ndarray, float]:
        found = json.loads((CALIBRATIONS / f"{self.target.name}.json").read_text())
        return np.array([found["prices_us"][name] for name in shape_costs.RATIOS]), float(found["error"])


class _Model:
    """Time as a sum of non-negative costs (work, traffic, a constant), fitted on relative errors."""

    def __init__(self, rows: Sequence[Measurement]) -> None:
        self.rows = rows
        self.features = _conv_features if rows[0].kernel.op == "conv" else _map_features
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


def _conv_features(kernel: Kernel) -> np.ndarray:
    """A convolution as Caffe runs it: im2col, then one matrix product a group.

    The product (maps x pixels x taps) runs at about half speed where a group makes 24 maps or fewer
    (OpenBLAS does not split such a narrow product over the cores: 11.6 against 22 GFLOP/s at 32 maps).
    OpenBLAS cuts it into tiles of 8 pixels (the last one costs as much as a full one), copies the columns
    once for every run of maps, and reads and writes the result once for every run of taps.
    """
    pixels = kernel.out_shape[1] * kernel.out_shape[2]
    maps = kernel.out_shape[0] // kernel.groups
    columns = kernel.taps * pixels * kernel.groups
    unrolled = kernel.window != (1, 1) or kernel.stride != (1, 1)
    narrow = maps <= _NARROW_MAPS
    return np.array(
        [
            kernel.macs,
            narrow * kernel.macs,
            -pixels % _TILE * maps * kernel.taps * kernel.groups,
            -(-maps // _RUN_OF_MAPS) * columns,
            -(-kernel.taps // _RUN_OF_TAPS) * kernel.out_shape[0] * pixels,
            unrolled * columns,
            columns,
            kernel.out_shape[0] * pixels,
            kernel.parameters,
            1.0,
        ],
        dtype=float,
    )


def _map_features(kernel: Kernel) -> np.ndarray:
    """Any other operation: values read, values looked at, weights read, a constant."""
    read, made = (c * h * w for c, h, w in (kernel.in_shape, kernel.out_shape))
    return np.array([read, made * kernel.window[0] * kernel.window[1], kernel.parameters, 1.0], dtype=float)
