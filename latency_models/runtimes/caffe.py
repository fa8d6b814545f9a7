"""Caffe with OpenBLAS: runs every layer as drawn and fuses nothing. Known from measured tables only.

Flattening shares the memory of its input and is free. Dropout copies its input even at test time
(Caffe 24d2f67), and is measured as such. The split that Caffe inserts where several layers read one
output shares memory too (0.003 ms a split in the tables) and is left out. Concatenation copies every
input once: only the total size counts.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from latency_models.kernel import Kernel, Layer
from latency_models.runtime import Runtime, drop_free

_NARROW_MAPS = 24
_TILE, _RUN_OF_MAPS, _RUN_OF_TAPS = 8, 256, 512
# Operations that a table lacks, as others that move memory in the same way. Caffe adds maps by setting its
# output to zero and adding each input to it: 7 values moved where a copy moves 2; its norm copies, spreads
# out mean and variance, subtracts, divides and scales: 14 values.
_LIKE: Mapping[str, tuple[str, float]] = {
    "add": ("concat", 3.5),
    "batchnorm": ("concat", 7.0),
    "relu6": ("relu", 1.0),
    "cut": ("concat", 1.0),
    "split": ("concat", 1.0),
    "transpose": ("concat", 1.0),
}


class Caffe(Runtime):
    name = "caffe"
    like = _LIKE

    def fuse(self, layers: Sequence[Layer]) -> list[Layer]:
        return [_as_caffe(layer) for layer in drop_free(layers, {"flatten", "identity", "part"})]

    def version(self) -> str:
        return "24d2f67 + openblas 0.2.19"

    def features(self, kernel: Kernel) -> np.ndarray:
        return _convolution(kernel) if kernel.op == "conv" else super().features(kernel)


def _as_caffe(layer: Layer) -> Layer:
    """A mean over all pixels is an average pooling; only the size of a concatenation counts."""
    kernel = layer.kernel
    if kernel.op != "mean" and not kernel.parts:
        return layer
    op = "avgpool" if kernel.op == "mean" else kernel.op
    return replace(layer, kernel=replace(kernel, op=op, parts=()))


def _convolution(kernel: Kernel) -> np.ndarray:
    """What a convolution costs: im2col, then one matrix product a group.

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


RUNTIME = Caffe()
