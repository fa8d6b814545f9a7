"""Run a network over all images at once, layer by layer, and look at what flows between blocks."""

import operator
from collections.abc import Callable, Collection

import torch
from torch import Tensor, fx, nn

BATCH = 64


@torch.no_grad()
def walk(
    skeleton: fx.GraphModule,
    inputs: Tensor,
    keep: Collection[str] = (),
    visit: Callable[[str, Tensor], None] | None = None,
) -> dict[str, Tensor]:
    """Outputs of the nodes in `keep` (and ``"output"``) for all images.

    `visit` is called with the name of every layer or block that is about to run and with what it
    reads; it may change that layer's weights, which everything above then sees.
    """
    nodes = list(skeleton.graph.nodes)
    last_use = {source: node for node in nodes for source in node.all_input_nodes}
    values: dict[fx.Node, Tensor] = {}
    kept: dict[str, Tensor] = {}
    for node in nodes:
        if node.op == "placeholder":
            values[node] = inputs
        elif node.op == "get_attr":
            values[node] = operator.attrgetter(str(node.target))(skeleton)
        elif node.op == "output":
            kept["output"] = values[node.all_input_nodes[0]]
        else:
            if visit is not None and node.op == "call_module":
                visit(str(node.target), values[node.all_input_nodes[0]])
            values[node] = _apply(skeleton, node, values, len(inputs))
        if node.name in keep:
            kept[node.name] = values[node]
        for source in node.all_input_nodes:
            if last_use[source] is node:
                values.pop(source, None)
    return kept


def _apply(skeleton: fx.GraphModule, node: fx.Node, values: dict[fx.Node, Tensor], count: int) -> Tensor:
    function = skeleton.get_submodule(str(node.target)) if node.op == "call_module" else node.target
    pieces: list[Tensor] = []
    for start in range(0, count, BATCH):

        def cut(source: fx.Node, start: int = start) -> Tensor:
            whole = values[source]
            return whole if source.op == "get_attr" else whole[start : start + BATCH]

        args, kwargs = fx.node.map_arg(node.args, cut), fx.node.map_arg(node.kwargs, cut)
        if node.op == "call_method":
            pieces.append(getattr(args[0], str(node.target))(*args[1:], **kwargs))
        else:
            assert callable(function)
            pieces.append(function(*args, **kwargs))
    return torch.cat(pieces)


@torch.no_grad()
def outputs_of(model: nn.Module, inputs: Tensor, batch: int = BATCH) -> Tensor:
    """A module's outputs for all inputs, batch by batch."""
    return torch.cat([model(inputs[i : i + batch]) for i in range(0, len(inputs), batch)])
