"""What a kernel costs, from its shape alone, as ncnn runs it: counts of work that a calibration prices.

Used where no kernel was measured, only whole networks. A dozen networks cannot price this many kinds of
work on their own, so prices start from `RATIOS` (one multiply-accumulate of a 1x1 convolution is 1) and
move away from them only as far as the timings ask.
"""

import math

import numpy as np

from latency_models.kernel import Kernel

# Winograd F(6x6, 3x3) multiplies a fifth as often, but transforms every value it reads and makes; a
# depthwise convolution reuses nothing; a fully connected layer waits for 4 bytes of weights at every
# multiplication; a local response norm takes a power of every value.
RATIOS = {
    "3x3 macs": 0.2,
    "3x3 values": 40.0,
    "1x1 macs": 1.0,
    "other macs": 1.1,
    "depthwise macs": 2.5,
    "grouped macs": 1.2,
    "values read": 4.0,
    "values made": 6.0,
    "weights": 2.0,
    "linear weights": 4.0,
    "pooled values": 2.0,
    "elementwise values": 8.0,
    "normed values": 100.0,
    "kernels": 2e4,
}
ELEMENTWISE = ("relu", "relu6", "add", "concat")
KNOWN = ("conv", "linear", "maxpool", "avgpool", "mean", "lrn", *ELEMENTWISE)


def features(kernel: Kernel) -> np.ndarray:
    """Counts of each kind of work in the order of `RATIOS`.

    Raises
    ------
    LookupError
        The operation is not one that the calibrations know.
    """
    counts = dict.fromkeys(RATIOS, 0.0) | {"kernels": 1.0}
    read, made = math.prod(kernel.in_shape), math.prod(kernel.out_shape)
    if kernel.op == "conv":
        counts[_kind_of_convolution(kernel)] += kernel.macs
        counts["3x3 values"] += (read + made) * (counts["3x3 macs"] > 0)
        counts["values read"] += read
        counts["values made"] += made
        counts["weights"] += kernel.parameters
    elif kernel.op == "linear":
        counts["linear weights"] += kernel.parameters
    elif kernel.op in ("maxpool", "avgpool", "mean"):
        counts["pooled values"] += made * math.prod(kernel.window)
    elif kernel.op == "lrn":
        counts["normed values"] += read
    elif kernel.op in ELEMENTWISE:
        counts["elementwise values"] += read * (2 if kernel.op == "add" else 1)
    else:
        raise LookupError(kernel.op)
    return np.array(list(counts.values()))


def _kind_of_convolution(kernel: Kernel) -> str:
    if kernel.groups == kernel.in_shape[0] == kernel.out_shape[0] and kernel.groups > 1:
        return "depthwise macs"
    if kernel.groups > 1:
        return "grouped macs"
    if kernel.window == (1, 1):
        return "1x1 macs"
    return "3x3 macs" if kernel.window == (3, 3) and kernel.stride == (1, 1) else "other macs"
