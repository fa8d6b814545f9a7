"""Part a dense convolution into a depthwise and a 1x1, or make such a pair one dense convolution (learned).

Before      x -> Conv2d k x k -> y; or x -> depthwise Conv2d k x k -> activation -> Conv2d 1x1 -> y
After       x -> depthwise Conv2d k x k -> Conv2d 1x1 -> y; or x -> Conv2d k x k -> y
Conditions  a square kernel, called once; to part: 16 channels or more on both sides, in no branch of a
            concatenation; to make one: few weights, nothing else reads between
Formula     parting: of every input channel's kernels the best of rank one (SVD): what it does in the window,
            times how much each output takes of it (Xception, Chollet 2017). Making one: without the
            activation the pair is one linear map
"""

from collections.abc import Iterator

import torch
from torch import fx, nn

from merges.channels import is_depthwise
from merges.convs import composed, is_plain, make_conv
from merges.graph import (
    ACTIVATIONS,
    bypass,
    concatenated,
    find,
    insert_after,
    layer,
    with_activation,
)
from merges.rule import MergeRule, Option, Place, Site
from merges.sizes import sides

_PART, _JOIN = Option("depthwise and 1x1"), Option("one dense")
_LEAST_CHANNELS = 16
_MOST_WEIGHTS = 9 * 64 * 64


class Depthwise(MergeRule):
    name = "depthwise"

    def places(self, graph_module: fx.GraphModule) -> Iterator[Place]:
        for node in graph_module.graph.nodes:
            if _parts(layer(graph_module, node)) and not _in_a_branch(graph_module, node):
                yield Place((node,), [_PART])
            pair = _pair(graph_module, node)
            if pair:
                few = _few(graph_module, pair)
                yield Place(
                    pair, [_JOIN] if few else [], "one dense convolution would need many more weights"
                )

    def apply(self, block: fx.GraphModule, site: Site, option: Option) -> bool:
        node = find(block, site.nodes[0])
        if node is None:
            return False
        if option == _PART:
            conv = layer(block, node)
            if not _parts(conv):
                return False
            assert isinstance(conv, nn.Conv2d)
            window, mixing = _parted(conv)
            block.set_submodule(str(node.target), window)
            insert_after(block, node, {"pointwise": mixing})
        else:
            pair = _pair(block, node)
            if pair is None or pair[-1].name != site.nodes[-1] or not _few(block, pair):
                return False
            first, second = layer(block, pair[0]), layer(block, pair[-1])
            assert isinstance(first, nn.Conv2d)
            assert isinstance(second, nn.Conv2d)
            block.set_submodule(str(pair[-1].target), composed(first, second))
            for member in pair[:-1]:
                bypass(block, member)
        return True


def _parts(conv: nn.Module | None) -> bool:
    if not isinstance(conv, nn.Conv2d) or conv.groups != 1 or not is_plain(conv):
        return False
    height, width = conv.kernel_size
    return height == width > 1 and min(conv.in_channels, conv.out_channels) >= _LEAST_CHANNELS


def _in_a_branch(graph_module: fx.GraphModule, node: fx.Node) -> bool:
    """Whether a concatenation reads the maps: such branches have rules of their own."""
    end = with_activation(graph_module, node)
    return any(concatenated(reader) for reader in end.users)


def _parted(conv: nn.Conv2d) -> tuple[nn.Conv2d, nn.Conv2d]:
    """Depthwise and 1x1: of every input channel's kernels (outputs, window) the best of rank one."""
    weight = conv.weight.detach()
    kernels = weight.transpose(0, 1).flatten(2)
    left, values, right = torch.linalg.svd(kernels, full_matrices=False)
    strength = values[:, 0].sqrt()[:, None]
    window = (right[:, 0] * strength).unflatten(1, conv.kernel_size)[:, None]
    mixing = (left[:, :, 0] * strength).T[:, :, None, None]
    padding = sides(conv.padding)  # type: ignore[arg-type]
    return make_conv(window, None, conv.stride, padding, conv.in_channels), make_conv(mixing, conv.bias)


def _pair(graph_module: fx.GraphModule, node: fx.Node) -> tuple[fx.Node, ...] | None:
    """A depthwise convolution, an activation if any, and the 1x1 that alone reads them."""
    conv, members = layer(graph_module, node), [node]
    if not isinstance(conv, nn.Conv2d) or not is_depthwise(conv) or not is_plain(conv):
        return None
    while len(members[-1].users) == 1:
        members.append(next(iter(members[-1].users)))
        module = layer(graph_module, members[-1])
        if isinstance(module, nn.Conv2d):
            pointwise = (
                module.kernel_size == module.stride == (1, 1) and module.groups == 1 and is_plain(module)
            )
            return tuple(members) if pointwise and module.padding == (0, 0) else None
        if not isinstance(module, ACTIVATIONS) or len(members) > 2:
            return None
    return None


def _few(graph_module: fx.GraphModule, pair: tuple[fx.Node, ...]) -> bool:
    first, second = layer(graph_module, pair[0]), layer(graph_module, pair[-1])
    assert isinstance(first, nn.Conv2d)
    assert isinstance(second, nn.Conv2d)
    height, width = first.kernel_size
    return height * width * second.weight.numel() <= _MOST_WEIGHTS


RULE = Depthwise()
