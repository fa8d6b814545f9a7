"""Move the stride of a pooling that follows a concatenation into its branches (learned).

Before      x -> { ... Conv2d s | ... Conv2d s } -> concat -> Pool(k, p) -> y
After       x -> { ... Conv2d s p | ... Conv2d s p } -> concat -> y
Conditions  only the pooling reads the concatenation; every branch ends in a convolution (and activation) that
            nothing else reads, called once, with square undilated windows; the same output size
Formula     streamline merging (DeepRebirth section 3.1) through a concatenation, which keeps maps apart
"""

from collections.abc import Iterator

from torch import fx, nn

from merges.convs import make_conv
from merges.geometry import POOLS, padding_for, window_of
from merges.graph import (
    before_activation,
    bypass,
    chain_back,
    concatenated,
    find,
    label,
    layer,
)
from merges.rule import MergeRule, Option, Place, Site

_MOVE = Option("stride into branches")


class Strided(MergeRule):
    name = "strided"

    def places(self, graph_module: fx.GraphModule) -> Iterator[Place]:
        for pool in graph_module.graph.nodes:
            if not isinstance(layer(graph_module, pool), POOLS):
                continue
            cat = pool.all_input_nodes[0]
            parts = concatenated(cat) or []
            window = window_of([layer(graph_module, pool)])
            if len(parts) < 2 or window is None or window.stride == 1:
                continue
            forks = {chain_back(part)[1] for part in parts}
            ends = _ends(graph_module, pool)
            reason = ""
            if len(set(parts)) < len(parts):
                reason = f"the same maps stand in {label(cat)} more than once"
            elif len(cat.users) > 1:
                reason = f"{label(cat)} feeds other layers too"
            elif len(forks) > 1 or cat in forks:
                reason = "the branches do not start at one fork through single-user layers"
            elif ends is None:
                reason = "not every branch ends in a convolution that keeps the size with a larger stride"
            nodes, options = (*(ends or ()), cat, pool), [] if reason else [_MOVE]
            yield Place(nodes, options, reason, name=label(pool), entry=forks.pop().name)

    def apply(self, block: fx.GraphModule, site: Site, option: Option) -> bool:
        pool = find(block, site.nodes[-1])
        ends = None if pool is None else _ends(block, pool)
        if pool is None or ends is None:
            return False
        for node in ends:
            conv = _strided(block, node, pool)
            assert conv is not None
            block.set_submodule(str(node.target), conv)
        bypass(block, pool)
        return True


def _ends(graph_module: fx.GraphModule, pool: fx.Node) -> list[fx.Node] | None:
    """The last convolution of every branch before a pooling (one branch where nothing is concatenated)."""
    source = pool.all_input_nodes[0]
    ends: list[fx.Node] = []
    for part in concatenated(source) or [source]:
        node = before_activation(graph_module, part)
        if len(node.users) != 1 or _strided(graph_module, node, pool) is None:
            return None
        ends.append(node)
    return ends


def _strided(graph_module: fx.GraphModule, node: fx.Node, pool: fx.Node) -> nn.Conv2d | None:
    """The node's convolution with the pooling's stride in it, or None where no padding gives its size."""
    conv, pooling = layer(graph_module, node), layer(graph_module, pool)
    window = window_of([conv, pooling])
    if not isinstance(conv, nn.Conv2d) or window is None:
        return None
    source, target = node.all_input_nodes[0].meta["shape"], pool.meta["shape"]
    padding = padding_for(window, conv.kernel_size[0], source[2:], target[2:])
    if padding is None:
        return None
    return make_conv(conv.weight, conv.bias, (window.stride,) * 2, (padding,) * 2, conv.groups)


RULE = Strided()
