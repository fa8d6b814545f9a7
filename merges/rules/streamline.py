"""Merge a convolution with the norm and the pooling that follow it into one convolution (learned).

Before      x -> Conv2d(k, s) -> [activation | LRN | BatchNorm]* -> Pool(pk, ps) -> [LRN] -> y
After       x -> Conv2d(K, s * ps) -> activation -> y, with K = k (or the least above it that has the output
            size) or K = k + (pk - 1) s (grown to the receptive field); or, m times as wide:
            x -> Conv2d(k + (ps - 1) s, s * ps) -> ReLU -> Conv2d 1x1 -> activation -> y; or, to keep the
            pooling: x -> Conv2d(k, s) -> activation -> Pool -> y (norm dropped)
Conditions  a chain of layers called once and read once; dilation 1; square kernels and strides; the
            same output size with symmetric padding
Formula     streamline merging, DeepRebirth section 3.1. The new kernel starts as the old one at its
            place in the window (max pooling), or as its mean over the window (average pooling,
            exact away from the border where nothing nonlinear stands between). One linear map is far from a
            maximum: a wide one makes the responses at m places of the pooling's stride, and a 1x1 answers
            from them
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import fx, nn

from merges.algebra import embed_kernel, spread_kernel
from merges.convs import make_conv
from merges.geometry import POOLS, Window, padding_for, window_of
from merges.graph import bypass, find, insert_after, label, layer
from merges.rule import MergeRule, Option, Place, Site
from merges.sizes import sides

_ACTIVATIONS = (nn.ReLU, nn.ReLU6)
_NORMS = (nn.LocalResponseNorm, nn.BatchNorm2d)
_DROP_NORM = Option("drop norm")
_COPIES = (2, 4)
_MOST_MACS = 2.5  # of the convolution's: norm and pooling can take longer than it does
_NO_SIZE = "no square, undilated convolution with symmetric padding has the same output size"


@dataclass(frozen=True)
class _Merge(Option):
    """One convolution of `kernel` x `kernel`, with so many shifted `copies` of the old one."""

    kernel: int
    copies: int

    @classmethod
    def of(cls, kernel: int, copies: int = 1) -> "_Merge":
        wide = f" {copies}x wide" if copies > 1 else ""
        return cls(f"merge {kernel}x{kernel}{wide}", kernel, copies)


class Streamline(MergeRule):
    name = "streamline"

    def places(self, graph_module: fx.GraphModule) -> Iterator[Place]:
        for node in graph_module.graph.nodes:
            if isinstance(layer(graph_module, node), nn.Conv2d):
                chain, blocker = self._chain(graph_module, node)
                if blocker is not None:
                    yield Place(chain, [], blocker)
                elif len(chain) > 1:
                    yield Place(chain, self._options(graph_module, chain), _NO_SIZE)

    def _chain(self, graph_module: fx.GraphModule, conv: fx.Node) -> tuple[list[fx.Node], str | None]:
        """The layers after `conv` up to the last norm or pooling, or why they cannot be merged."""
        chain, kept = [conv], 1
        while len(chain[-1].users) == 1:
            node = next(iter(chain[-1].users))
            if not isinstance(layer(graph_module, node), (*_ACTIVATIONS, *_NORMS, *POOLS)):
                break
            chain.append(node)
            if not isinstance(layer(graph_module, node), _ACTIVATIONS):
                kept = len(chain)
        readers = list(chain[-1].users)
        merging = [u for u in readers if isinstance(layer(graph_module, u), (*_NORMS, *POOLS))]
        if kept == 1 and merging:
            names = ", ".join(label(u) for u in readers if u is not merging[0])
            return [*chain, merging[0]], f"{label(chain[-1])} also feeds {names}"
        return chain[:kept], None

    def _options(self, graph_module: fx.GraphModule, chain: list[fx.Node]) -> list[Option]:
        layers = [layer(graph_module, n) for n in chain]
        pooled = any(isinstance(m, POOLS) for m in layers)
        dropped = [_DROP_NORM] if any(isinstance(m, _NORMS) for m in layers) else []
        window = window_of(layers)
        if not pooled or window is None:
            return dropped
        conv = layers[0]
        assert isinstance(conv, nn.Conv2d)
        source, target = chain[0].all_input_nodes[0].meta["shape"], chain[-1].meta["shape"]
        sizes = range(conv.kernel_size[0], window.kernel + 1)
        paddings = {k: padding_for(window, k, source[2:], target[2:]) for k in sizes}
        middle = conv.kernel_size[0] // 2
        fits = [
            k
            for k, padding in paddings.items()
            if padding is not None and 0 <= _place(window, padding, conv.kernel_size[0]) + middle < k
        ]
        ends = dict.fromkeys((*fits[:1], *(k for k in fits if k == window.kernel)))
        wide = [merge for merge in _wide(layers, window) if merge.kernel in fits]
        return [*(_Merge.of(k) for k in ends), *wide, *dropped]

    def apply(self, block: fx.GraphModule, site: Site, option: Option) -> bool:
        conv = find(block, site.nodes[0])
        if conv is None or not isinstance(layer(block, conv), nn.Conv2d):
            return False
        nodes, blocker = self._chain(block, conv)
        same = tuple(node.name for node in nodes) == site.nodes
        if blocker or not same or option not in self._options(block, nodes):
            return False
        layers = [layer(block, node) for node in nodes]
        doomed: tuple[type, ...] = _NORMS
        if isinstance(option, _Merge):
            doomed = (*_NORMS, *POOLS)
            block.set_submodule(str(nodes[0].target), self._merged(nodes, layers, option))
            if option.copies > 1:
                _mix(block, nodes[0], option.copies)
        for node, module in zip(nodes, layers, strict=True):
            if isinstance(module, doomed):
                bypass(block, node)
        return True

    def _merged(self, nodes: list[fx.Node], layers: list[nn.Module | None], merge: _Merge) -> nn.Conv2d:
        conv, window, size = layers[0], window_of(layers), merge.kernel
        assert isinstance(conv, nn.Conv2d)
        assert window is not None
        source, target = nodes[0].all_input_nodes[0].meta["shape"], nodes[-1].meta["shape"]
        padding = padding_for(window, size, source[2:], target[2:])
        assert padding is not None, "options are offered only where a padding exists"
        kernel = conv.weight.detach()
        bias = kernel.new_zeros(len(kernel)) if conv.bias is None else conv.bias.detach()
        pools = [m for m in layers if isinstance(m, POOLS)]
        if len(pools) == 1 and isinstance(pools[0], nn.AvgPool2d):
            kernel = spread_kernel(kernel, sides(pools[0].kernel_size)[0], conv.stride[0])
        offset = _place(window, padding, kernel.shape[2])
        last = size - kernel.shape[2]
        places = {
            1: [(offset, offset)],
            2: [(0, 0), (last, last)],
            4: [(0, 0), (0, last), (last, 0), (last, last)],
        }
        weight = torch.cat([embed_kernel(kernel, size, size, *place) for place in places[merge.copies]])
        return make_conv(weight, bias.repeat(merge.copies), (window.stride,) * 2, (padding,) * 2, conv.groups)


def _place(window: Window, padding: int, kernel: int) -> int:
    """Where the old kernel stands in the new one: in the middle of the window, both seen from the input."""
    return window.start + padding + (window.kernel - kernel) // 2


def _wide(layers: list[nn.Module | None], window: Window) -> list[_Merge]:
    """The merges that are several times as wide as the convolution, where a maximum is taken and they pay."""
    conv, pools = layers[0], [m for m in layers if isinstance(m, POOLS)]
    assert isinstance(conv, nn.Conv2d)
    stride = conv.stride[0]
    size = conv.kernel_size[0] + window.stride - stride
    if conv.groups > 1 or window.stride == stride or not any(isinstance(p, nn.MaxPool2d) for p in pools):
        return []
    before = conv.weight[0].numel() * (window.stride // stride) ** 2
    after = conv.in_channels * size**2 + conv.out_channels
    return [_Merge.of(size, m) for m in _COPIES if m * after <= _MOST_MACS * before]


def _mix(block: fx.GraphModule, conv: fx.Node, copies: int) -> None:
    """Put an activation and a 1x1 that averages the copies after a widened convolution."""
    maps = conv.meta["shape"][1]
    mean = torch.eye(maps).repeat(1, copies)[..., None, None] / copies
    insert_after(block, conv, {"act": nn.ReLU(), "mix": make_conv(mean, torch.zeros(maps))})


RULE = Streamline()
