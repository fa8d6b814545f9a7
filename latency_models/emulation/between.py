"""Counts of kernels that were not counted: a sum of sizes, corrected by the counted kernels that are nearest.

Kernels that a runtime computes the same way are one kind: their counts are a non-negative sum of sizes (what
is multiplied, read, made, and rounded up to whole vectors), fitted on relative errors. What that misses, as
a ratio, is smooth where shapes are alike, so it is taken from the kernels of that kind whose shapes are
nearest.
"""

import math
from collections import defaultdict
from collections.abc import Hashable, Mapping
from dataclasses import dataclass

import numpy as np
from scipy.optimize import nnls

from latency_models.kernel import Kernel

_FEWEST = 4
_NEAREST = 6
_WIDTH = 0.35  # of the weight that a neighbour has, in logarithms of sizes
_LANES = (4, 8)  # numbers in a vector, in single and half precision
_TILE = 6  # outputs to a side that Winograd's transform makes at once
_ALONE = 1e-6


def kinds_of(kernel: Kernel) -> tuple[Hashable, ...]:
    """What is computed in the same way, the closest first; later ones hold more kernels."""
    stride = min(kernel.stride)
    if kernel.op != "conv":
        return (kernel.op, kernel.window, stride), kernel.op
    if kernel.groups == kernel.in_shape[0] == kernel.out_shape[0] and kernel.groups > 1:
        return ("depthwise", kernel.window, stride), "depthwise", "grouped", "other"
    if kernel.groups > 1:
        return ("grouped", kernel.window), "grouped", "other"
    if kernel.window == (1, 1):
        return ("1x1", stride), "1x1", "other"
    if kernel.window == (3, 3) and kernel.stride == kernel.dilation == (1, 1):
        return "3x3", "other"
    return (kernel.window, stride), "other"


def sizes(kernel: Kernel) -> np.ndarray:
    """What counts are a sum of."""
    read, made = math.prod(kernel.in_shape), math.prod(kernel.out_shape)
    channels, outputs = kernel.in_shape[0], kernel.out_shape[0]
    pixels = math.prod(kernel.out_shape[1:])
    tiles = math.prod(math.ceil(side / _TILE) for side in kernel.out_shape[1:])
    whole = _whole(channels // kernel.groups) * _whole(outputs) * math.prod(kernel.window) * pixels
    return np.array(
        [
            kernel.macs,
            whole,
            read,
            made,
            kernel.parameters,
            made * math.prod(kernel.window),
            channels * math.prod(kernel.window) * pixels,
            tiles * _whole(channels) * _whole(outputs),
            tiles * channels,
            tiles * outputs,
            math.prod(kernel.out_shape[:2]),
            outputs,
            1.0,
        ],
        dtype=float,
    )


@dataclass(frozen=True)
class _Kind:
    """The counted kernels of one kind: their places, counts, and what the sum of sizes makes of them."""

    places: np.ndarray
    counts: np.ndarray
    weights: np.ndarray
    summed: np.ndarray

    @classmethod
    def of(cls, counted: Mapping[Kernel, np.ndarray]) -> "_Kind":
        design = np.stack([sizes(kernel) for kernel in counted])
        counts = np.stack(list(counted.values())).astype(float)
        scale = counts.sum(axis=1)
        weights = np.stack([_fitted(design, column, scale) for column in counts.T], axis=1)
        places = np.stack([_place(kernel) for kernel in counted])
        return cls(places, counts, weights, design @ weights)

    def at(self, kernel: Kernel, besides: int | None = None) -> np.ndarray:
        """Counts of a kernel; `besides` is a counted one that is left out."""
        summed = sizes(kernel) @ self.weights
        distances = ((self.places - _place(kernel)) ** 2).sum(axis=1)
        if besides is not None:
            distances[besides] = np.inf
        near = np.argsort(distances)[:_NEAREST]
        pull = np.exp(-distances[near] / (2 * _WIDTH**2))[:, None]
        # Where nothing is near, the sum stands as it is.
        total, believed = (self.counts[near] * pull).sum(axis=0), (self.summed[near] * pull).sum(axis=0)
        own = _ALONE * self.summed.mean(axis=0) + 1e-9
        return summed * (total + own) / (believed + own)


class Between:
    """Interpolates among counted kernels."""

    def __init__(self, counted: Mapping[Kernel, np.ndarray]) -> None:
        self._counted: dict[Hashable, dict[Kernel, np.ndarray]] = defaultdict(dict)
        for kernel, counts in counted.items():
            for kind in kinds_of(kernel):
                self._counted[kind][kernel] = counts
        self._kinds: dict[Hashable, _Kind] = {}

    def kind_of(self, kernel: Kernel) -> Hashable:
        """The closest kind of which enough kernels were counted; None where there is none."""
        enough = (kind for kind in kinds_of(kernel) if len(self._counted.get(kind, ())) >= _FEWEST)
        return next(enough, None)

    def knows(self, kernel: Kernel) -> bool:
        return self.kind_of(kernel) is not None

    def at(self, kernel: Kernel) -> np.ndarray:
        """Counts of a kernel of a kind that is known."""
        return self._kind(self.kind_of(kernel)).at(kernel)

    def left_out(self) -> dict[Kernel, np.ndarray]:
        """Every counted kernel from the others of its closest kind."""
        return {
            kernel: self._kind(kind).at(kernel, place)
            for kind, kernels in list(self._counted.items())
            for place, kernel in enumerate(kernels)
            if self.kind_of(kernel) == kind
        }

    def _kind(self, kind: Hashable) -> _Kind:
        if kind not in self._kinds:
            self._kinds[kind] = _Kind.of(self._counted[kind])
        return self._kinds[kind]


def _fitted(design: np.ndarray, counts: np.ndarray, scale: np.ndarray) -> np.ndarray:
    rows = design / scale[:, None]
    size = rows.max(axis=0) + 1e-30
    return nnls(rows / size, counts / scale)[0] / size


def _place(kernel: Kernel) -> np.ndarray:
    """Where a kernel lies among those of its kind: sizes, and which maps fill whole vectors."""
    inputs, outputs = kernel.in_shape[0], kernel.out_shape[0]
    part = kernel.parts[0] if kernel.parts else 0
    sizes_of = (inputs // kernel.groups, *kernel.out_shape, *kernel.window, *kernel.stride, part + 1)
    filled = [maps % lanes > 0 for maps in (inputs, outputs, part) for lanes in _LANES]
    alike = [*filled, inputs // kernel.groups % _LANES[0] > 0, bool(kernel.activation), len(kernel.parts)]
    return np.array([*np.log(sizes_of), *alike], dtype=float)


def _whole(channels: int) -> int:
    return math.ceil(channels / _LANES[0]) * _LANES[0]
