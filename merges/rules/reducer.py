"""Cut channels of a 1x1 reducer and of the convolution that reads it (learned).

Before      x -> Conv2d 1x1 (c maps) -> activation -> Conv2d k x k -> y
After       x -> Conv2d 1x1 (f c maps) -> activation -> Conv2d k x k -> y
Conditions  both convolutions called once and ungrouped; nothing else reads the reduced maps
Formula     branch merging, DeepRebirth section 3.2 (the reducers are slimmed). The case of ``width`` that the
            paper has: see there
"""

from collections.abc import Iterator

from torch import fx

from merges.channels import Channels, group_from
from merges.rule import Place
from merges.rules.width import Width, is_reducer


class Reducer(Width):
    name = "reducer"

    def places(self, graph_module: fx.GraphModule) -> Iterator[Place]:
        for node in graph_module.graph.nodes:
            group = group_from(graph_module, node)
            if isinstance(group, Channels) and self.mine(graph_module, group):
                yield self.place(graph_module, group)

    def mine(self, graph_module: fx.GraphModule, group: Channels) -> bool:
        return is_reducer(graph_module, group)


RULE = Reducer()
