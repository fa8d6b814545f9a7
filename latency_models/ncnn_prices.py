"""What ncnn's time is made of, where no kernel was measured, only whole networks.

A kernel's time is a sum of counts of work that a
calibration prices. A dozen networks cannot price this many kinds of work on their own, so prices start from
ratios (one multiply-accumulate of a 1x1 convolution is 1) and move away from them only as far as the timings
ask.
"""

import math

import numpy as np

from latency_models.kernel import Kernel

# Winograd F(6x6, 3x3) multiplies a fifth as often, but transforms every value it reads and makes; a
# depthwise convolution reuses nothing; a fully connected layer waits for 4 bytes of weights at every
# multiplication; a local response norm takes a power of every value, a sigmoid an exponential.
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
    "function values": 24.0,
    "normed values": 100.0,
    "kernels": 2e4,
}
_OF_TWO = ("add", "mul", "sub", "div")
_ELEMENTWISE = (
    *("relu", "relu6", "leakyrelu", "prelu", "hardtanh", "hardsigmoid", "hardswish", "clamp", "abs", "neg"),
    *("gate", "batchnorm", "concat", "split", "square", *_OF_TWO),
)
# What takes an exponential, a root or a sum over each value's neighbours.
_FUNCTIONS = (
    *("sigmoid", "tanh", "silu", "mish", "gelu", "elu", "selu", "celu", "softplus", "exp", "sqrt", "pow"),
    *(
        "softmax",
        "layernorm",
        "groupnorm",
        "instancenorm2d",
        "batchnorm1d",
        "linalg_vector_norm",
        "normalize",
    ),
    *("normalize", "rsqrt", "log", "erf", "logsigmoid", "rmsnorm", "log_softmax", "softsign"),
)
_COPIES = (
    *("permute", "transpose", "cut", "pad", "upsample", "interpolate", "expand", "stack", "sum", "roll"),
    *(
        "pixelshuffle",
        "pixelunshuffle",
        "channelshuffle",
        "flip",
        "narrow",
        "select",
        "unbind",
        "amax",
        "max",
    ),
    *(
        "zeropad2d",
        "reflectionpad2d",
        "replicationpad2d",
        "constantpad2d",
        "unfold",
        "adaptivemaxpool2d",
        "cat",
    ),
    *("repeat", "index_select", "unsqueeze", "squeeze"),
)
# Other sums of products, priced as the convolution that does the same work.
_PRODUCTS = {
    "linear of maps": "1x1 macs",
    "matmul": "1x1 macs",
    "bmm": "1x1 macs",
    "conv1d": "other macs",
    "conv": "other macs",
    "convtranspose2d": "other macs",
}
COUNTED = (
    *("conv", "linear", "maxpool", "avgpool", "mean", "lrn", *_ELEMENTWISE, *_FUNCTIONS, *_COPIES),
    *(op for op in _PRODUCTS if op != "conv"),
)


def work_of(kernel: Kernel) -> np.ndarray:
    """Counts of each kind of work of a kernel, in the order of `RATIOS`.

    Raises
    ------
    LookupError
        The operation is not one that the calibrations know.
    """
    counts = dict.fromkeys(RATIOS, 0.0) | {"kernels": 1.0}
    read, made = math.prod(kernel.in_shape), math.prod(kernel.out_shape)
    if kernel.op == "conv" and not kernel.details:
        counts[_kind_of_convolution(kernel)] += kernel.macs
        counts["3x3 values"] += (read + made) * (counts["3x3 macs"] > 0)
        counts["values read"] += read
        counts["values made"] += made
        counts["weights"] += kernel.parameters
    elif kernel.op == "linear":
        counts["linear weights"] += kernel.parameters
    elif kernel.op in _COPIES or (kernel.op == "mean" and kernel.details):
        counts["elementwise values"] += (read + made) / 2
    elif kernel.op in ("maxpool", "avgpool", "mean"):
        counts["pooled values"] += made * math.prod(kernel.window)
    elif kernel.op == "lrn":
        counts["normed values"] += read
    elif kernel.op in _FUNCTIONS:
        counts["function values"] += read
    elif kernel.op in _ELEMENTWISE:
        counts["elementwise values"] += read * (2 if kernel.op in _OF_TWO else 1)
    elif kernel.op in _PRODUCTS:
        counts[_PRODUCTS[kernel.op]] += kernel.macs
        counts["values read"] += read
        counts["values made"] += made
        counts["weights"] += kernel.parameters
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
