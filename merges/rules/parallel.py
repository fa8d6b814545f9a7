"""Run convolutions of the same input and geometry as one, and split its maps (exact).

Before      x -> { Conv2d -> [ReLU] | Conv2d -> [ReLU] | ... }, each read on its own
After       x -> Conv2d -> [ReLU] -> { cut | cut | ... }
Conditions  the same kernel, stride and padding, ungrouped, called once; all followed by the same
            activation or none; together they end in one place (a concatenation)
Formula     rows of a matrix product are independent (horizontal fusion, as in TensorRT). Applied after all
            other rules of a plan, to those convolutions that are left
"""

from collections import defaultdict
from collections.abc import Iterator

import networkx
import torch
from torch import fx, nn

from merges.convs import is_plain, make_conv
from merges.functions import cut
from merges.graph import find, fresh_name, label, layer, with_activation
from merges.rule import MergeRule, Option, Place, Site, Stage

_ONE = Option("one convolution, split")


class Parallel(MergeRule):
    name = "parallel"
    exact = True
    stage = Stage.LAST

    def places(self, graph_module: fx.GraphModule) -> Iterator[Place]:
        for members in _alike(graph_module, list(graph_module.graph.nodes)):
            yield Place(members, [_ONE], exit=_meeting_point(graph_module.graph, members))

    def apply(self, block: fx.GraphModule, site: Site, option: Option) -> bool:
        left = [node for node in (find(block, name) for name in site.nodes) if node is not None]
        groups = _alike(block, left)
        for members in groups:
            _fuse(block, members)
        return bool(groups)


def _alike(graph_module: fx.GraphModule, nodes: list[fx.Node]) -> list[list[fx.Node]]:
    """Groups of convolutions that read the same maps in the same way and are followed alike."""
    groups: dict[object, list[fx.Node]] = defaultdict(list)
    for node in nodes:
        conv = layer(graph_module, node)
        if isinstance(conv, nn.Conv2d) and conv.groups == 1 and is_plain(conv):
            geometry = (conv.kernel_size, conv.stride, conv.padding)
            activation = layer(graph_module, with_activation(graph_module, node))
            groups[(node.all_input_nodes[0], geometry, type(activation))].append(node)
    return [members for members in groups.values() if len(members) > 1]


def _meeting_point(graph: fx.Graph, members: list[fx.Node]) -> str:
    """The first node through which everything that the members feed goes on."""
    flow = networkx.DiGraph((user.name, node.name) for node in graph.nodes for user in node.users)
    dominators = networkx.immediate_dominators(flow, next(n.name for n in graph.nodes if n.op == "output"))
    paths = []
    for node in members:
        path = [node.name]
        while dominators.get(path[-1], path[-1]) != path[-1]:
            path.append(dominators[path[-1]])
        paths.append(path)
    return next(name for name in paths[0] if all(name in path for path in paths))


def _fuse(block: fx.GraphModule, members: list[fx.Node]) -> None:
    """Run the members as one right behind what they read, so that every reader of theirs comes later."""
    found = [layer(block, node) for node in members]
    convs = [conv for conv in found if isinstance(conv, nn.Conv2d)]
    biases = [c.weight.new_zeros(c.out_channels) if c.bias is None else c.bias.detach() for c in convs]
    weight, first = torch.cat([conv.weight.detach() for conv in convs]), convs[0]
    one = make_conv(weight, torch.cat(biases), first.stride, first.padding)  # type: ignore[arg-type]
    ends = [with_activation(block, node) for node in members]
    whole = _call(block, members[0], members[0].all_input_nodes[0], one)
    if ends[0] is not members[0]:
        whole = _call(block, ends[0], whole, layer(block, ends[0]))
    start, after = 0, whole
    for end, conv in zip(ends, convs, strict=True):
        # A name of its own: nodes are known by name across blocks.
        name, limits = fresh_name(block, f"{end.name}_part"), (whole, 1, start, start + conv.out_channels)
        with block.graph.inserting_after(after):
            after = block.graph.create_node("call_function", cut, limits, name=name)
        after.meta = dict(end.meta) | {"label": f"{label(end)} (part)"}
        end.replace_all_uses_with(after)
        start += conv.out_channels


def _call(block: fx.GraphModule, alike: fx.Node, source: fx.Node, module: nn.Module | None) -> fx.Node:
    """A call of a layer right behind `source`, known to people as `alike` was."""
    assert module is not None
    name = fresh_name(block, alike.name)
    block.add_submodule(name, module)
    with block.graph.inserting_after(source):
        node = block.graph.create_node("call_module", name, (source,), name=name)
    node.meta = dict(alike.meta)
    return node


RULE = Parallel()
