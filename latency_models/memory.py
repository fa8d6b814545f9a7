"""Peak memory of the maps of a network: what lives at the same time."""

import math
from collections.abc import Sequence

from latency_models.kernel import Layer

_BYTES = 4


def peak_bytes(layers: Sequence[Layer]) -> int:
    """Most bytes that maps take at once when kernels run in order and maps die with their last reader.

    A kernel's inputs and its output live together (a runtime may do better where it works in place). The
    network's input is the caller's and is not counted, nor is scratch memory inside kernels.
    """
    last_reader = {name: index for index, layer in enumerate(layers) for name in layer.inputs}
    alive: dict[str, int] = {}
    peak = 0
    for index, layer in enumerate(layers):
        alive[layer.name] = _BYTES * math.prod(layer.kernel.out_shape)
        peak = max(peak, sum(alive.values()))
        alive = {name: size for name, size in alive.items() if last_reader.get(name, -1) > index}
    return peak
