"""Make one convolution of two linear layers with nothing between, or pool before a 1x1 (exact).

Before      x -> Conv2d or AvgPool -> Conv2d or AvgPool -> y (one of them a convolution)
After       x -> Conv2d -> y; or, for a 1x1 convolution before a pooling: x -> AvgPool -> Conv2d 1x1 -> y
Conditions  the first feeds the second alone; neither layer is called twice; the second does not pad what
            the first makes (or the first is a 1x1 without bias); a pooling divides by its whole window; at
            most twice the multiply-accumulates
Formula     W[o, i, q s + t] = sum over m of W2[o, m, q] W1[m, i, t], b = b2 + sum W2 b1; stride s1 s2,
            padding p1 + p2 s1. A mean and a 1x1 convolution commute
"""

from collections.abc import Iterator

from torch import fx, nn

from merges.convs import composed, composed_weights, pooling_as_conv, why_not_composed
from merges.graph import bypass, find, label, layer
from merges.rule import MergeRule, Option, Place, Site, Stage
from merges.sizes import sides

_ONE, _SWAP = Option("one convolution"), Option("pool first")
_MOST_MACS = 2
_TOO_MANY = f"one convolution would need more than {_MOST_MACS} times the multiply-accumulates"
_POOLS = (nn.AvgPool2d, nn.AdaptiveAvgPool2d)


class Compose(MergeRule):
    name = "compose"
    exact = True
    stage = Stage.EXACT

    def places(self, graph_module: fx.GraphModule) -> Iterator[Place]:
        for node in graph_module.graph.nodes:
            pair = _pair(graph_module, node)
            if pair is None:
                continue
            first = node.all_input_nodes[0]
            options = _options(first, node, *pair)
            yield Place((first, node), options, "" if options else _reason(*pair), name=label(node))

    def apply(self, block: fx.GraphModule, site: Site, option: Option) -> bool:
        node = find(block, site.nodes[1])
        pair = None if node is None else _pair(block, node)
        if node is None or pair is None:
            return False
        before = node.all_input_nodes[0]
        if option not in _options(before, node, *pair):  # an earlier merge made another layer of one of them
            return False
        if option == _SWAP:
            block.set_submodule(str(before.target), pair[1])
            block.set_submodule(str(node.target), pair[0])
        else:
            channels = before.all_input_nodes[0].meta["shape"][1]
            convs = _as_convs(*pair, channels)
            assert convs is not None, "an option is offered only where both are convolutions"
            block.set_submodule(str(node.target), composed(*convs))
            bypass(block, before)
        return True


def _pair(graph_module: fx.GraphModule, node: fx.Node) -> tuple[nn.Module, nn.Module] | None:
    """A node's layer and the one before it, where both are linear and nothing else reads the first."""
    second = layer(graph_module, node)
    if not isinstance(second, (nn.Conv2d, *_POOLS)):
        return None
    before = node.all_input_nodes[0]
    first = layer(graph_module, before)
    if not isinstance(first, (nn.Conv2d, nn.AvgPool2d)) or len(before.users) > 1:
        return None
    return (first, second) if isinstance(first, nn.Conv2d) or isinstance(second, nn.Conv2d) else None


def _as_convs(first: nn.Module, second: nn.Module, channels: int) -> tuple[nn.Conv2d, nn.Conv2d] | None:
    """Both layers as convolutions, `channels` being those that the first reads; None where one is none."""
    one = pooling_as_conv(first, channels) if isinstance(first, nn.AvgPool2d) else first
    if not isinstance(one, nn.Conv2d):
        return None
    two = pooling_as_conv(second, one.out_channels) if isinstance(second, nn.AvgPool2d) else second
    if not isinstance(two, nn.Conv2d):
        return None
    (kind,) = {m.weight.dtype for m in (first, second) if isinstance(m, nn.Conv2d)}
    return one.to(kind), two.to(kind)


def _options(before: fx.Node, node: fx.Node, first: nn.Module, second: nn.Module) -> list[Option]:
    convs = _as_convs(first, second, before.all_input_nodes[0].meta["shape"][1])
    options: list[Option] = []
    if convs is not None and why_not_composed(*convs) is None and _worth(*convs, before, node):
        options.append(_ONE)
    if isinstance(first, nn.Conv2d) and isinstance(second, _POOLS) and _commutes(first, second):
        options.append(_SWAP)
    return options


def _worth(first: nn.Conv2d, second: nn.Conv2d, before: fx.Node, node: fx.Node) -> bool:
    """Whether the one convolution may pay: a pointwise one after a depthwise one does not."""
    made, answer = (n.meta["shape"][2] * n.meta["shape"][3] for n in (before, node))
    two = first.weight.numel() * made + second.weight.numel() * answer
    return composed_weights(first, second) * answer <= _MOST_MACS * two


def _commutes(conv: nn.Conv2d, pool: nn.Module) -> bool:
    pointwise = conv.kernel_size == (1, 1) and conv.stride == (1, 1) and conv.padding == (0, 0)
    if isinstance(pool, nn.AvgPool2d):
        means = not any(sides(pool.padding)) or not pool.count_include_pad
        return pointwise and means and pool.divisor_override is None
    return pointwise


def _reason(first: nn.Module, second: nn.Module) -> str:
    if isinstance(first, nn.Conv2d) and isinstance(second, nn.Conv2d):
        return why_not_composed(first, second) or _TOO_MANY
    if isinstance(first, nn.AvgPool2d) and pooling_as_conv(first, 1) is not None:
        return _TOO_MANY
    return "the pooling's divisor varies at the border, or it reads padding that a convolution cannot see"


RULE = Compose()
