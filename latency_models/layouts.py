"""Blocked layouts of ONNX Runtime (NCHWc): where it copies maps from one layout into the other.

On x86 convolutions and poolings run on maps whose channels lie in blocks. Most other operations need
plain maps (NCHW), so copies stand between them; where, follows from a walk through the graph
(``nchwc_transformer.cc``). The copies are kernels like any other: ``reorder_in`` and ``reorder_out``.
Between blocked maps a sum is fused into a convolution, and the activation after it too; a batch norm that
reads blocked maps (one that could not be folded) runs as a depthwise convolution.
"""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import replace

from latency_models.kernel import Kernel, Layer

_CHANNEL_ALIGNMENT = 4
_ELEMENTWISE = {"relu", "sigmoid", "tanh", "hardsigmoid", "hardswish", "silu", "add", "mul"}


def blocked(layers: Sequence[Layer], block: int, activations: Collection[str]) -> list[Layer]:
    """The kernels in blocked layout, with the copies between layouts (`block` channels; 0: no blocks)."""
    if block == 0:
        return [layer for layer in layers if layer.kernel.op != "part"]
    walk = _Walk(layers, block)
    for layer in layers:
        if not (walk.fuse_sum(layer) or walk.fuse_activation(layer, activations)):
            walk.add(layer)
    end = walk.names.get(layers[-1].name, layers[-1].name)
    if end in walk.in_blocks:
        walk.copy(end, "reorder_out", layers[-1].kernel.out_shape)
    return [layer for layer in walk.made.values() if layer.kernel.op != "part"]


class _Walk:
    """What is known after some layers: the kernels so far and which of them make blocks."""

    def __init__(self, layers: Sequence[Layer], block: int) -> None:
        self.block = block
        self.readers = Counter(name for layer in layers for name in layer.inputs)
        self.made: dict[str, Layer] = {}
        self.in_blocks: set[str] = set()
        self.names: dict[str, str] = {}  # of a fused layer: the kernel that makes its maps

    def add(self, layer: Layer) -> None:
        inputs = tuple(self.names.get(name, name) for name in layer.inputs)
        if layer.kernel.op == "batchnorm" and set(inputs) <= self.in_blocks:
            shape = layer.kernel.in_shape
            layer = replace(layer, kernel=Kernel("conv", shape, shape, groups=shape[0]))
        wants, gives = self._layouts(layer.kernel, inputs)
        needed = tuple(self._in_layout(name, wants, layer.kernel) for name in inputs)
        self.made[layer.name] = layer.reading(needed)
        if gives:
            self.in_blocks.add(layer.name)

    def copy(self, name: str, op: str, shape: tuple[int, int, int]) -> str:
        """The maps of a layer in the other layout; copied once however many read them."""
        copied = f"{name} ({op})"
        if copied not in self.made:
            self.made[copied] = Layer(copied, Kernel(op, shape, shape), (name,))
        return copied

    def fuse_sum(self, layer: Layer) -> bool:
        inputs = [self.names.get(name, name) for name in layer.inputs]
        if layer.kernel.op != "add" or not set(inputs) <= self.in_blocks:
            return False
        if len(set(inputs)) < 2:
            return False
        for old, name in sorted(zip(layer.inputs, inputs, strict=True), key=lambda pair: self._age(pair[1])):
            before = self.made[name].kernel
            if before.op == "conv" and not before.activation and self.readers[old] == 1:
                others = tuple(other for other in inputs if other != name)
                self._absorb(layer, name, "add", others)
                return True
        return False

    def fuse_activation(self, layer: Layer, activations: Collection[str]) -> bool:
        name = self.names.get(layer.inputs[0], layer.inputs[0]) if layer.inputs else ""
        if layer.kernel.op not in activations or name not in self.in_blocks:
            return False
        before = self.made[name].kernel
        if before.op != "conv" or before.activation not in ("", "add") or self.readers[layer.inputs[0]] > 1:
            return False
        self._absorb(layer, name, f"{before.activation} {layer.kernel.op}".strip())
        return True

    def _absorb(self, layer: Layer, name: str, activation: str, more: tuple[str, ...] = ()) -> None:
        """Make a layer part of an earlier kernel, which then reads `more` too."""
        before = self.made[name]
        fused = replace(before.kernel, activation=activation)
        self.made[name] = replace(before, kernel=fused, inputs=before.inputs + more)
        self.names[layer.name] = name

    def _age(self, name: str) -> int:
        """Later kernels first: the sum needs all its inputs before it runs."""
        return -list(self.made).index(name)

    def _in_layout(self, name: str, wants_blocks: bool, kernel: Kernel) -> str:
        if (name in self.in_blocks) == wants_blocks:
            return name
        shape = self.made[name].kernel.out_shape if name in self.made else kernel.in_shape
        return self.copy(name, "reorder_in" if wants_blocks else "reorder_out", shape)

    def _layouts(self, kernel: Kernel, inputs: Sequence[str]) -> tuple[bool, bool]:
        """Whether a kernel reads blocks, and whether it makes them."""
        if kernel.op == "conv":
            return self._convolution(kernel.in_shape[0], kernel.out_shape[0], kernel.groups)
        if kernel.op in ("maxpool", "avgpool"):
            # A pooling over whole maps takes them as they come, others are worth a copy.
            whole = kernel.window == kernel.in_shape[1:]
            fits = kernel.in_shape[0] % self.block == 0 and not (whole and not set(inputs) <= self.in_blocks)
        elif kernel.op == "concat":
            fits = set(inputs) <= self.in_blocks and all(part % self.block == 0 for part in kernel.parts)
        else:
            known = kernel.op in _ELEMENTWISE and not kernel.details
            fits = known and set(inputs) <= self.in_blocks
        return fits, fits

    def _convolution(self, channels: int, maps: int, groups: int) -> tuple[bool, bool]:
        if groups == 1 and channels < self.block:
            return False, True
        if groups == 1:
            fits = channels % _CHANNEL_ALIGNMENT == 0
        elif channels == groups == maps:
            fits = maps % _CHANNEL_ALIGNMENT == 0
        else:
            fits = channels // groups % self.block == 0 and maps // groups % self.block == 0
        return fits, fits
