"""Keep the middle of a convolution's kernel alone (learned)."""

from collections.abc import Iterator

from torch import fx, nn

from merges.convs import make_conv
from merges.graph import find, layer
from merges.rule import MergeRule, Option, Place, Site


class Middle(MergeRule):
    name = "middle"

    def places(self, graph_module: fx.GraphModule) -> Iterator[Place]:
        for node in graph_module.graph.nodes:
            if _is_padded(layer(graph_module, node)):
                yield Place((node,), [Option("1x1")])

    def apply(self, block: fx.GraphModule, site: Site, option: Option) -> bool:
        node = find(block, site.nodes[0])
        conv = None if node is None else layer(block, node)
        if node is None or not _is_padded(conv):
            return False
        block.set_submodule(str(node.target), make_conv(conv.weight[:, :, 1:2, 1:2], conv.bias))
        return True


def _is_padded(conv: nn.Module | None) -> bool:
    return isinstance(conv, nn.Conv2d) and (conv.kernel_size, conv.padding) == ((3, 3), (1, 1))


RULE = Middle()
