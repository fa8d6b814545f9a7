"""Put a constant shift into the padded convolution that reads it (learned).

Before      x -> plus a constant -> Conv2d with padding -> y
After       x -> Conv2d' with padding -> y
Conditions  the constant is a number; one convolution alone reads the sum; layers called once
Formula     b' = b + c times the sum of W: exact but for the border, whose zeros are not shifted
            (PP-LCNetV3 shifts behind every activation)
"""

from collections.abc import Iterator

import torch
from torch import fx, nn

from merges.convs import is_plain
from merges.graph import bypass, find, label, layer
from merges.rule import MergeRule, Option, Place, Site

_FOLD = Option("fold")


class Shift(MergeRule):
    name = "shift"

    def places(self, graph_module: fx.GraphModule) -> Iterator[Place]:
        for node in graph_module.graph.nodes:
            reader = _reader(graph_module, node)
            if reader is not None:
                yield Place((node, reader), [_FOLD], name=label(reader))

    def apply(self, block: fx.GraphModule, site: Site, option: Option) -> bool:
        node = find(block, site.nodes[0])
        reader = None if node is None else _reader(block, node)
        if node is None or reader is None or reader.name != site.nodes[1]:
            return False
        conv = layer(block, reader)
        assert isinstance(conv, nn.Conv2d)
        bias = conv.weight.detach().sum((1, 2, 3)) * _added(node)
        conv.bias = nn.Parameter(bias if conv.bias is None else bias + conv.bias.detach())
        bypass(block, node)
        return True


def _added(node: fx.Node) -> float:
    """The number that a node adds to maps; 0 for other nodes."""
    numbers = [arg for arg in node.args if isinstance(arg, (int, float))]
    added = node.op == "call_function" and node.target is torch.add and len(numbers) == 1
    return float(numbers[0]) if added and len(node.meta["shape"]) == 4 else 0.0


def _reader(graph_module: fx.GraphModule, node: fx.Node) -> fx.Node | None:
    """The padded convolution that alone reads a shift; one that does not pad has it already, exactly."""
    reader = next(iter(node.users)) if len(node.users) == 1 else node
    conv = layer(graph_module, reader)
    pads = isinstance(conv, nn.Conv2d) and is_plain(conv) and conv.padding != (0, 0)
    return reader if _added(node) and pads else None


RULE = Shift()
