"""Project before a pooling, and make the pooling a convolution of the few maps that are left (learned).

Before      x -> MaxPool(k, s) -> Conv2d 1x1 (p maps) -> y
After       x -> Conv2d 1x1 (p maps) -> ReLU -> Conv2d k x k, s (p maps) -> y
Conditions  both called once, nothing else reads the pooling; square and undilated, ungrouped; a symmetric
            padding gives the output size
Formula     streamline merging (DeepRebirth section 3.1) turned round, for the pooling branch of an inception
            module: the pooling looks at every input map, the convolution at p. It starts as the mean over the
            window
"""

from collections.abc import Iterator

import torch
from torch import fx, nn

from merges.convs import make_conv
from merges.geometry import padding_for, window_of
from merges.graph import bypass, find, insert_after, layer
from merges.rule import MergeRule, Option, Place, Site

_NO_SIZE = "no square, undilated convolution with symmetric padding has its output size"


class Project(MergeRule):
    name = "project"

    def places(self, graph_module: fx.GraphModule) -> Iterator[Place]:
        for pool in graph_module.graph.nodes:
            conv = _projection(graph_module, pool)
            if conv is not None:
                after = _pooling_conv(graph_module, pool, conv)
                size = "x".join(map(str, after.kernel_size)) if after else ""
                options = [Option(f"1x1, then {size}")] if after else []
                yield Place((pool, conv), options, _NO_SIZE)

    def apply(self, block: fx.GraphModule, site: Site, option: Option) -> bool:
        pool, conv = (find(block, name) for name in site.nodes)
        if pool is None or conv is None or _projection(block, pool) is not conv:
            return False
        after = _pooling_conv(block, pool, conv)
        assert after is not None, "an option is offered only where a padding exists"
        insert_after(block, conv, {"act": nn.ReLU(), "pool": after})
        bypass(block, pool)
        return True


def _projection(graph_module: fx.GraphModule, pool: fx.Node) -> fx.Node | None:
    """The 1x1 convolution that alone reads a maximum."""
    if not isinstance(layer(graph_module, pool), nn.MaxPool2d) or len(pool.users) != 1:
        return None
    reader = next(iter(pool.users))
    conv = layer(graph_module, reader)
    pointwise = isinstance(conv, nn.Conv2d) and conv.kernel_size == conv.stride == (1, 1)
    return reader if pointwise and conv.groups == 1 and conv.padding == (0, 0) else None  # type: ignore[union-attr]


def _pooling_conv(graph_module: fx.GraphModule, pool: fx.Node, conv: fx.Node) -> nn.Conv2d | None:
    """The convolution that averages every projected map over the pooling's window."""
    window = window_of([layer(graph_module, pool)])
    source, target = pool.all_input_nodes[0].meta["shape"], conv.meta["shape"]
    padding = None if window is None else padding_for(window, window.kernel, source[2:], target[2:])
    if window is None or padding is None:
        return None
    maps = target[1]
    mean = torch.eye(maps)[..., None, None].expand(-1, -1, window.kernel, window.kernel) / window.kernel**2
    return make_conv(mean, torch.zeros(maps), (window.stride,) * 2, (padding,) * 2)


RULE = Project()
