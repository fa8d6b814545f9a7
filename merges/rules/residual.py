"""Make one convolution of a residual block's branch, with or without the shortcut in it (learned).

Before      x -> { Conv2d -> ReLU -> Conv2d [-> ReLU -> Conv2d] | Conv2d 1x1 or nothing } -> + -> y
After       x -> { Conv2d K | Conv2d 1x1 or nothing } -> + -> y; or x -> Conv2d K -> y
Conditions  the branch is a chain of layers called once and read once, with zero padding; the one convolution
            needs no more multiply-accumulates than the branch and has its output size
Formula     DeepRebirth section 4.5 (res2a of ResNet-50); LayerMerge (Kim et al. 2024) for the shortcut. It
            starts as the branch without its activations, cut to the new kernel
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import reduce

from torch import fx, nn

from merges.algebra import dense_kernel, embed_kernel
from merges.convs import composed, identity_conv, is_plain, make_conv, summed
from merges.geometry import padding_for, window_of
from merges.graph import chain_back, find, is_addition, layer
from merges.rule import MergeRule, Option, Place, Site
from merges.sizes import sides

_KERNELS = (7, 5, 3, 1)
_MOST_OPTIONS = 2
_IN_A_BRANCH = (nn.Conv2d, nn.ReLU, nn.ReLU6, nn.BatchNorm2d)
_NO_CHAIN = "its branch is no chain of convolutions and activations from the start of the shortcut"
_TOO_DEAR = "no single convolution with its output size needs fewer multiply-accumulates"


@dataclass(frozen=True)
class _One(Option):
    """One convolution of `kernel` x `kernel`; `shortcut` tells if it takes the shortcut in."""

    kernel: int
    shortcut: bool


@dataclass(frozen=True)
class _Residual:
    """A sum of a branch (its layers from the fork on) and a shortcut (a convolution, or the fork)."""

    branch: list[fx.Node]
    convs: list[nn.Conv2d]
    fork: fx.Node
    shortcut: fx.Node
    shortcut_conv: nn.Conv2d | None


class Residual(MergeRule):
    name = "residual"

    def places(self, graph_module: fx.GraphModule) -> Iterator[Place]:
        for node in graph_module.graph.nodes:
            if not (is_addition(node) and len(node.all_input_nodes) == 2):
                continue
            block = _residual(graph_module, node)
            if block is None:
                yield Place((node,), [], _NO_CHAIN)
            else:
                yield Place((*block.branch, node), _options(block, node), _TOO_DEAR)

    def apply(self, block: fx.GraphModule, site: Site, option: Option) -> bool:
        assert isinstance(option, _One)
        node = find(block, site.nodes[-1])
        found = None if node is None else _residual(block, node)
        if node is None or found is None or option not in _options(found, node):
            return False
        last = next(n for n in reversed(found.branch) if isinstance(layer(block, n), nn.Conv2d))
        one = _one(found, node, option.kernel)
        if option.shortcut:
            one = summed([one, found.shortcut_conv or identity_conv(one.in_channels)])
            node.replace_all_uses_with(last)
        last.replace_input_with(last.all_input_nodes[0], found.fork)
        block.set_submodule(str(last.target), one)
        return True


def _residual(graph_module: fx.GraphModule, node: fx.Node) -> _Residual | None:
    first, second = node.all_input_nodes
    for end, other in ((first, second), (second, first)):
        branch, fork = chain_back(end)
        layers = [layer(graph_module, member) for member in branch]
        convs = [module for module in layers if isinstance(module, nn.Conv2d)]
        if len(convs) < 2 or not all(isinstance(module, _IN_A_BRANCH) for module in layers):
            continue
        ends_linear = isinstance(layers[-1], nn.Conv2d)
        side = chain_back(other)[0] if other is not fork else []
        starts_there = other is fork or chain_back(other)[1] is fork
        conv = layer(graph_module, side[0]) if len(side) == 1 else None
        if starts_there and ends_linear and all(is_plain(c) for c in convs):
            return _Residual(branch, convs, fork, other, conv if isinstance(conv, nn.Conv2d) else None)
    return None


def _options(block: _Residual, node: fx.Node) -> list[_One]:
    window = window_of(block.convs)
    source, target = block.fork.meta["shape"], node.meta["shape"]
    if window is None or len(source) != 4:
        return []
    macs, pixels = 0, 1.0
    for conv in reversed(block.convs):  # a layer before a stride makes more pixels
        macs += int(conv.weight.numel() * pixels)
        pixels *= conv.stride[0] * conv.stride[1]
    fits = [
        k
        for k in _KERNELS
        if window.stride <= k <= window.kernel
        and k * k * source[1] * target[1] <= macs
        and padding_for(window, k, source[2:], target[2:]) is not None
    ]
    absorbs = block.shortcut is block.fork and source == target
    side = block.shortcut_conv
    absorbs |= side is not None and is_plain(side) and side.stride == (window.stride,) * 2
    whole = [k for k in fits[:1] if absorbs and _aligned(block, node, k)]
    return [_One(f"one {k}x{k}", k, False) for k in fits[:_MOST_OPTIONS]] + [
        _One(f"one {k}x{k} with shortcut", k, True) for k in whole
    ]


def _aligned(block: _Residual, node: fx.Node, kernel: int) -> bool:
    """Whether kernel and shortcut look at the same place, so that their sum is no larger than the kernel."""
    window = window_of(block.convs)
    assert window is not None
    padding = padding_for(window, kernel, block.fork.meta["shape"][2:], node.meta["shape"][2:])
    conv = block.shortcut_conv
    own, side = (conv.kernel_size[0], sides(conv.padding)[0]) if conv is not None else (1, 0)  # type: ignore[arg-type]
    return padding is not None and padding >= side and kernel - padding >= own - side


def _one(block: _Residual, node: fx.Node, kernel: int) -> nn.Conv2d:
    """The branch without its activations as one convolution of the given kernel."""
    whole = reduce(composed, [_cut(conv, kernel) for conv in block.convs])
    window = window_of(block.convs)
    assert window is not None
    padding = padding_for(window, kernel, block.fork.meta["shape"][2:], node.meta["shape"][2:])
    assert padding is not None
    offset = padding - sides(whole.padding)[0]  # type: ignore[arg-type]
    weight = embed_kernel(dense_kernel(whole.weight.detach(), whole.groups), kernel, kernel, offset, offset)
    bias = whole.bias if whole.bias is not None else weight.new_zeros(len(weight))
    return make_conv(weight, bias, (window.stride,) * 2, (padding,) * 2)


def _cut(conv: nn.Conv2d, kernel: int) -> nn.Conv2d:
    """The middle of a convolution's kernel (what is outside would be cut off in the end)."""
    size = conv.kernel_size[0]
    if size <= kernel:
        return conv
    border = (size - kernel) // 2
    weight = embed_kernel(conv.weight.detach(), kernel, kernel, -border, -border)
    padding = max(sides(conv.padding)[0] - border, 0)  # type: ignore[arg-type]
    return make_conv(weight, conv.bias, conv.stride, (padding,) * 2, conv.groups)


RULE = Residual()
