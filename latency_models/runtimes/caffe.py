"""Caffe with OpenBLAS: runs every layer as drawn and fuses nothing. Known from measured tables only.

Flattening shares the memory of its input and is free. Dropout copies its input even at test time
(Caffe 24d2f67), and is measured as such. The split that Caffe inserts where several layers read one
output shares memory too (0.003 ms a split in the tables) and is left out. Concatenation copies every
input once: only the total size counts.
"""

from collections.abc import Sequence
from dataclasses import replace

from latency_models.kernel import Kernel, Layer
from latency_models.runtime import Job, Runtime, drop_free
from latency_models.target import Target


class Caffe:
    name = "caffe"

    def on(self, target: Target) -> Runtime:
        return self

    def fuse(self, layers: Sequence[Layer]) -> list[Layer]:
        kept = drop_free(layers, {"flatten", "identity", "part"})
        return [replace(layer, kernel=_as_caffe(layer.kernel)) for layer in kept]

    def job(self, kernel: Kernel) -> Job | None:
        return None

    def probes(self) -> dict[str, bytes]:
        return {}

    def version(self) -> str:
        return "24d2f67 + openblas 0.2.19"


def _as_caffe(kernel: Kernel) -> Kernel:
    """A mean over all pixels is an average pooling; only the size of a concatenation counts."""
    return replace(kernel, op="avgpool" if kernel.op == "mean" else kernel.op, parts=())


RUNTIME = Caffe()
