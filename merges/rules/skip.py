"""Leave a residual branch out (learned).

Before      x -> { branch | nothing } -> + -> y
After       x -> y; a ReLU behind the sum goes too where x is a ReLU's
Conditions  one side of the sum is what the branch starts from; nothing else reads inside the branch
Formula     stochastic depth (Huang et al. 2016) says why a network bears it: residual branches refine what
            passes by, and stages get shallower. What is left has no weights: the block before it learns what
            the branch gave (``training/blocks/bottom_up.py``)
"""

from collections.abc import Iterator
from dataclasses import dataclass

from torch import fx, nn

from merges.graph import Flow, bypass, find, is_addition, label, layer, with_activation
from merges.rule import MergeRule, Option, Place, Site, Stage


@dataclass(frozen=True)
class _LeaveOut(Option):
    """`positive` tells if what is left is never negative."""

    positive: bool


class Skip(MergeRule):
    name = "skip"
    stage = Stage.SKIP

    def places(self, graph_module: fx.GraphModule) -> Iterator[Place]:
        flow = Flow(graph_module.graph)
        for node in graph_module.graph.nodes:
            fork = _fork(flow, node)
            if fork is None:
                continue
            names = flow.between(fork.name, node.name)
            branch = [member for member in graph_module.graph.nodes if member.name in names]
            first = label(branch[0])
            positive = isinstance(layer(graph_module, fork), nn.ReLU)
            options = [_LeaveOut("identity", positive)]
            yield Place(branch, options, name=first, entry=fork.name, exit=node.name)

    def apply(self, block: fx.GraphModule, site: Site, option: Option) -> bool:
        node = find(block, site.exit)
        fork = None if node is None else _fork(Flow(block.graph), node)
        if node is None or fork is None or fork.name != site.entry:
            return False
        assert isinstance(option, _LeaveOut)
        reader = with_activation(block, node)
        if option.positive and isinstance(layer(block, reader), nn.ReLU):
            bypass(block, reader)
        node.replace_all_uses_with(fork)
        return True


def _fork(flow: Flow, node: fx.Node) -> fx.Node | None:
    """What a residual branch that ends in a sum starts from; None where there is no such branch."""
    if not is_addition(node) or len(node.all_input_nodes) != 2:
        return None
    first, second = node.all_input_nodes
    for fork, end in ((first, second), (second, first)):
        inside = flow.between(fork.name, node.name)
        same = fork.meta["shape"] == node.meta["shape"]
        if same and end.name in inside and flow.is_closed(inside, fork.name, node.name):
            return fork
    return None


RULE = Skip()
