"""Know the shapes of a traced network, cut blocks out of it and change single nodes.

Graph code only: nothing here computes a weight (see :mod:`merges.algebra`).
"""

import copy
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import networkx
import torch
from torch import fx, nn
from torch.utils import _pytree as pytree

ACTIVATIONS = (nn.ReLU, nn.ReLU6)
TO_LAST, TO_FIRST = (0, 2, 3, 1), (0, 3, 1, 2)  # channels of maps


_M = TypeVar("_M", bound=nn.Module)


class TraceError(ValueError):
    """The network cannot be written as a graph of layers; the message says why."""


def layer(graph_module: fx.GraphModule, node: fx.Node) -> nn.Module | None:
    """The layer that a node calls, or None for inputs, functions and the output."""
    return graph_module.get_submodule(str(node.target)) if node.op == "call_module" else None


def named_outputs(graph_module: fx.GraphModule) -> dict[str, fx.Node]:
    """What the network answers with, in order, by key or as ``output_0``; alone, ``scores`` or ``output``."""
    (returned,) = next(node for node in graph_module.graph.nodes if node.op == "output").args
    if isinstance(returned, fx.Node):
        return {"scores" if len(returned.meta.get("shape", ())) == 2 else "output": returned}
    found = {}
    for path, node in pytree.tree_flatten_with_path(returned)[0]:
        if isinstance(node, fx.Node):
            name = ".".join(str(getattr(key, "key", getattr(key, "idx", key))) for key in path)
            found[name if name[:1].isalpha() else f"output_{name}"] = node
    return found


def label(node: fx.Node) -> str:
    """The name a person knows a node by: the layer's own name where there is one."""
    return str(node.meta.get("label", node.name))


def fresh_name(graph_module: fx.GraphModule, wanted: str) -> str:
    """A name for a new node and its layer that nothing in the graph has yet, close to the one wanted."""
    taken = {node.name for node in graph_module.graph.nodes} | {"output"}
    name = base = re.sub(r"\W", "_", wanted)
    number = 0
    while name in taken or hasattr(graph_module, name):
        number += 1
        name = f"{base}_{number}"
    return name


def shared_layers(graph_module: fx.GraphModule) -> set[str]:
    """Names of nodes whose layer has weights that another call uses too: changing one would change both."""
    weights = {
        node.name: {id(weight) for weight in module.parameters()} or {id(module)}
        for node in graph_module.graph.nodes
        if (module := layer(graph_module, node)) is not None
    }
    uses = Counter(weight for own in weights.values() for weight in own)
    return {name for name, own in weights.items() if any(uses[weight] > 1 for weight in own)}


def propagate_shapes(graph_module: fx.GraphModule, *inputs: tuple[int, ...]) -> None:
    """Write each node's output shape, for one image, into ``node.meta["shape"]``.

    Runs on the meta device: nothing is computed and the weights stay where they are.

    Raises
    ------
    TraceError
        A layer does not accept the shape that reaches it.
    """
    ghostly = all(weight.is_meta for weight in (*graph_module.parameters(), *graph_module.buffers()))
    recorder = _ShapeRecorder(graph_module if ghostly else without_weights(graph_module))
    try:
        kind = next((weight.dtype for weight in graph_module.parameters()), torch.float32)
        recorder.run(*(torch.empty(shape, device="meta", dtype=kind) for shape in inputs))
    except Exception as error:
        reason = str(error).splitlines()[0][:200]
        raise TraceError(f"an input of shape {inputs[0]} does not fit the network: {reason}") from error
    for node in graph_module.graph.nodes:
        node.meta["shape"] = recorder.shapes[node.name]


def without_weights(graph_module: _M) -> _M:
    """A copy on the meta device: it has shapes, but nothing is stored or computed."""
    weights = (*graph_module.parameters(), *graph_module.buffers())
    return copy.deepcopy(graph_module, {id(w): _ghost(w) for w in weights})


def _ghost(weight: torch.Tensor) -> torch.Tensor:
    empty = torch.empty_like(weight, device="meta")
    return nn.Parameter(empty) if isinstance(weight, nn.Parameter) else empty


class _ShapeRecorder(fx.Interpreter):
    def __init__(self, graph_module: fx.GraphModule) -> None:
        super().__init__(graph_module)
        self.shapes: dict[str, Any] = {}

    def run_node(self, n: fx.Node) -> Any:
        value = super().run_node(n)
        self.shapes[n.name] = tuple(value.shape) if isinstance(value, torch.Tensor) else None
        return value

    def call_module(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Activations keep the shape, and take longer to say so than all other layers."""
        if args and isinstance(self.fetch_attr(target), ACTIVATIONS):
            return args[0]
        return super().call_module(target, args, kwargs)


def concatenated(node: fx.Node) -> list[fx.Node] | None:
    """The inputs of a concatenation of maps (over channels), or None for anything else."""
    if node.op != "call_function" or node.target is not torch.cat:
        return None
    parts, dim = node.args
    return list(parts) if dim == 1 else None  # type: ignore[arg-type]


def is_addition(node: fx.Node) -> bool:
    """Whether a node adds two maps (a residual connection)."""
    if node.op != "call_function" or node.target is not torch.add:
        return False
    return all(isinstance(part, fx.Node) and part.op != "get_attr" for part in node.args)


def is_permutation(node: fx.Node, order: Sequence[int]) -> bool:
    """Whether a node puts the dimensions of a tensor in this order."""
    called = node.op == "call_function" and node.target is torch.permute
    return called and list(node.args[1]) == list(order)  # type: ignore[arg-type]


def with_activation(graph_module: fx.GraphModule, node: fx.Node) -> fx.Node:
    """The activation that alone reads a node, or the node."""
    reader = next(iter(node.users)) if len(node.users) == 1 else node
    return reader if isinstance(layer(graph_module, reader), ACTIVATIONS) else node


def before_activation(graph_module: fx.GraphModule, node: fx.Node) -> fx.Node:
    """What an activation that is read once reads, or the node where it is none."""
    activated = isinstance(layer(graph_module, node), ACTIVATIONS) and len(node.users) == 1
    return node.all_input_nodes[0] if activated else node


def chain_back(node: fx.Node) -> tuple[list[fx.Node], fx.Node]:
    """Follow single-input, single-user layers backwards from `node` to where the path forks."""
    nodes: list[fx.Node] = []
    while node.op == "call_module" and len(node.all_input_nodes) == 1 and len(node.users) == 1:
        nodes.insert(0, node)
        node = node.all_input_nodes[0]
    return nodes, node


class Flow:
    """What leads where in a graph, asked many times."""

    def __init__(self, graph: fx.Graph) -> None:
        self.order = {node.name: index for index, node in enumerate(graph.nodes)}
        self.ways = networkx.DiGraph()
        for node in graph.nodes:
            self.ways.add_node(node.name)
            self.ways.add_edges_from((source.name, node.name) for source in node.all_input_nodes)

    def between(self, entry: str, exit_: str) -> set[str]:
        """The nodes that lie on a path from `entry` (left out) to `exit_` (included)."""
        first, last = self.order[entry], self.order[exit_]
        names = [name for name, index in self.order.items() if first <= index <= last]
        near = self.ways.subgraph(names)  # nodes stand in the order of execution: paths stay between
        return networkx.descendants(near, entry) & (networkx.ancestors(near, exit_) | {exit_})

    def is_closed(self, members: set[str], entry: str, exit_: str) -> bool:
        """Whether nothing but `entry` enters the nodes and nothing but `exit_`, one of them, leaves."""
        return exit_ in members and all(
            set(self.ways.predecessors(name)) <= members | {entry}
            and (name == exit_ or set(self.ways.successors(name)) <= members)
            for name in members
        )


def between(graph: fx.Graph, entry: str, exit_: str) -> list[fx.Node]:
    """The nodes that lie on a path from `entry` (left out) to `exit_` (included), in order."""
    reached = Flow(graph).between(entry, exit_)
    return [node for node in graph.nodes if node.name in reached]


def extract(graph_module: fx.GraphModule, entry: str, exit_: str) -> fx.GraphModule:
    """Copy the closed block between two nodes out as a network of its own (weights copied)."""
    graph = fx.Graph()
    copies: dict[str, fx.Node] = {entry: graph.create_node("placeholder", entry, name=entry)}
    source = find(graph_module, entry)
    assert source is not None
    copies[entry].meta = {key: value for key, value in source.meta.items() if key != "label"}
    for node in between(graph_module.graph, entry, exit_):
        copies[node.name] = graph.node_copy(node, lambda source: copies[source.name])
    graph.output(copies[exit_])
    return copy.deepcopy(fx.GraphModule(graph_module, graph)).eval()


def splice(graph_module: fx.GraphModule, entry: str, exit_: str, name: str, block: nn.Module) -> None:
    """Put one module in the place of the block between two nodes."""
    nodes = between(graph_module.graph, entry, exit_)
    source = next(node for node in graph_module.graph.nodes if node.name == entry)
    graph_module.add_submodule(name, block)
    with graph_module.graph.inserting_after(nodes[-1]):
        call = graph_module.graph.create_node("call_module", name, (source,), name=name)
    call.meta = {"per_image": nodes[-1].meta.get("per_image", True)}
    nodes[-1].replace_all_uses_with(call)
    for node in reversed(nodes):
        graph_module.graph.erase_node(node)


def find(graph_module: fx.GraphModule, name: str) -> fx.Node | None:
    """The node of that name, or None where an earlier rewrite took it away."""
    return next((node for node in graph_module.graph.nodes if node.name == name), None)


def bypass(graph_module: fx.GraphModule, node: fx.Node) -> None:
    """Take a single-input node out; its users read its input instead."""
    node.replace_all_uses_with(node.all_input_nodes[0])
    graph_module.graph.erase_node(node)


def insert_after(graph_module: fx.GraphModule, node: fx.Node, layers: Mapping[str, nn.Module]) -> None:
    """Put layers between a node and what reads it, each named after the node and its key."""
    end, readers = node, list(node.users)
    for what, module in layers.items():
        name = fresh_name(graph_module, f"{node.name}_{what}")
        graph_module.add_submodule(name, module)
        with graph_module.graph.inserting_after(end):
            end = graph_module.graph.create_node("call_module", name, (end,), name=name)
        end.meta = dict(node.meta) | {"label": f"{label(node)} ({what})"}
    for reader in readers:
        reader.replace_input_with(node, end)


def tidy(graph_module: fx.GraphModule) -> None:
    """Drop what no longer leads to the output, and make the graph runnable again."""
    graph_module.graph.eliminate_dead_code()
    graph_module.delete_all_unused_submodules()
    graph_module.graph.lint()
    graph_module.recompile()
