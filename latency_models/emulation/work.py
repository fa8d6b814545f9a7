"""What a kernel's time on an emulated core is a sum of: instructions, lines that caches lack, a constant."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from latency_models.emulation import counts
from latency_models.emulation.between import Between
from latency_models.emulation.counts import CLASSES, Counts
from latency_models.kernel import Kernel

# Kinds of work, each of counted classes: their prices are cycles (instructions and lines from the second
# cache), nanoseconds (lines from memory), and microseconds (a kernel).
CYCLES: Mapping[str, tuple[str, ...]] = {
    "vector fma": ("vector_fma",),
    "half vector fma": ("vector_fma_half",),
    "vector division": ("vector_slow",),
    "other vector": ("vector_other",),
    "vector load": ("vector_load", "vector_load_many"),
    "vector store": ("vector_store",),
    "scalar memory": ("load", "store"),
    "scalar": ("branch", "other"),
}
LINES = ("near lines", "far lines", "streamed lines")  # the weights of fully connected layers are streamed
KINDS = (*CYCLES, *LINES, "kernels")
IN_CYCLES = len(CYCLES) + 1
_HALF_CORES = ("cortex-a55", "cortex-a76")

_OF_TWO = ("mul", "sub", "div")
_ELEMENTWISE = (
    *("relu6", "leakyrelu", "prelu", "hardtanh", "clamp", "abs", "neg", "square", "batchnorm"),
    *("hardsigmoid", "hardswish"),
)
# What takes an exponential, a root or a sum over each value's neighbours.
_FUNCTIONS = (
    *("sigmoid", "tanh", "mish", "gelu", "elu", "selu", "celu", "softplus", "exp", "sqrt", "pow", "log"),
    *("softmax", "layernorm", "groupnorm", "instancenorm2d", "batchnorm1d", "rmsnorm", "log_softmax"),
    *("linalg_vector_norm", "normalize", "logsigmoid", "rsqrt", "erf", "softsign"),
)
_MOVES = ("permute", "transpose", "pixelshuffle", "pixelunshuffle", "flip", "roll", "unfold")
_COPIES = (
    *("cut", "pad", "upsample", "interpolate", "expand", "stack", "sum", "narrow", "select", "unbind"),
    *("zeropad2d", "reflectionpad2d", "replicationpad2d", "constantpad2d", "cat", "split", "mean", "max"),
    *("repeat", "index_select", "unsqueeze", "squeeze", "amax", "adaptivemaxpool2d", "channelshuffle"),
)
_PRODUCTS = ("linear of maps", "matmul", "bmm", "conv1d", "conv", "convtranspose2d")
_COLUMNS = {name: place for place, name in enumerate(CLASSES)}


@dataclass(frozen=True)
class Work:
    """A kernel's work in the order of `KINDS`, and whether its instructions were counted or interpolated."""

    amounts: np.ndarray
    counted: bool


class Worker:
    """Works kernels out for one runtime and precision.

    `more` are counts of the user's own.
    """

    def __init__(self, runtime: str, half: bool, more: Counts | None = None) -> None:
        shipped = _shipped(counts.name_of(runtime, half))
        self.counts = {**shipped, **(more or {})}
        self._between = Between(self.counts)
        self._known: dict[Kernel, Work] = {}

    def of(self, kernel: Kernel) -> Work:
        """A kernel's work.

        Raises
        ------
        LookupError
            Neither this kernel nor one like it was counted.
        """
        if kernel not in self._known:
            self._known[kernel] = Work(amounts(kernel, self.counts_of(kernel)), kernel in self.counts)
        return self._known[kernel]

    def counts_of(self, kernel: Kernel) -> np.ndarray:
        """Counts of a kernel in the order of ``CLASSES``, as they were made or from kernels like it.

        Raises
        ------
        LookupError
            Neither this kernel nor one like it was counted.
        """
        if kernel in self.counts:
            return self.counts[kernel]
        plain: Kernel | None = replace(kernel, details="")
        if not self._between.knows(kernel) or (kernel.details and kernel.op in _PRODUCTS):
            plain = _counterpart(kernel)
        if plain is None or not self._between.knows(plain):
            raise LookupError(kernel.op)
        return self.counts[plain] if plain in self.counts else self._between.at(plain)


def amounts(kernel: Kernel, values: np.ndarray) -> np.ndarray:
    """The work in some counts of a kernel."""
    instructions = [sum(values[_COLUMNS[name]] for name in names) for names in CYCLES.values()]
    far = values[_COLUMNS["far_misses"]]
    near = max(values[_COLUMNS["near_misses"]] - far, 0)
    streamed = far if kernel.op == "linear" else 0
    return np.array([*instructions, near, far - streamed, streamed, 1.0], dtype=float)


def _counterpart(kernel: Kernel) -> Kernel | None:
    """A kernel of a kind that may have been counted, which does as much of the same."""
    if kernel.op in _PRODUCTS:
        return _product(kernel)
    if kernel.op in _COPIES:
        values = max(kernel.in_shape, kernel.out_shape, key=math.prod)
        return Kernel("concat", values, values, parts=(values[0] // 2, values[0] - values[0] // 2))
    for op, alike in (("add", _OF_TWO), ("relu", _ELEMENTWISE), ("silu", _FUNCTIONS), ("permute", _MOVES)):
        if kernel.op in alike or kernel.op == op:
            return Kernel(op, kernel.in_shape, kernel.in_shape)
    return None


def _product(kernel: Kernel) -> Kernel:
    """A 1x1 convolution with as many products, inputs and outputs."""
    made = math.prod(kernel.out_shape)
    outputs = kernel.out_shape[0] if kernel.out_shape[0] < made else made
    pixels = max(1, made // outputs)
    channels = max(1, round(kernel.macs / made))
    return Kernel("conv", (channels, pixels, 1), (outputs, pixels, 1))


def in_half(runtime: str, core: str) -> bool:
    """Whether a runtime computes networks in half precision on a core, as ncnn does where the core can."""
    return runtime == "ncnn" and core in _HALF_CORES


@cache
def _shipped(name: str) -> Counts:
    return counts.load(counts.SHIPPED / f"{name}.csv.gz")
