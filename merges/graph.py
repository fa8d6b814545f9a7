"""Trace a network, know its shapes, cut blocks out of it and change single nodes.

Graph code only: nothing here computes a weight (see :mod:`merges.algebra`).
"""

import copy
import operator
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

import networkx
import torch
import torch.nn.functional as F
from torch import fx, nn

from merges.norm import FastLocalResponseNorm


class TraceError(ValueError):
    """The network cannot be written as a graph of layers; the message says why."""


def trace(model: nn.Module) -> fx.GraphModule:
    """Trace a network into a graph of layers, on copies of its layers, in evaluation mode.

    Functional calls that have a layer (``F.relu``, ``F.max_pool2d`` ...) become that layer, and
    in-place activations become ordinary ones, so that rules see one form of each operation. Local
    response norms are replaced by a quicker form of the same function.

    Raises
    ------
    TraceError
        The forward method depends on values (control flow) or cannot be traced.
    """
    try:
        traced = fx.symbolic_trace(copy.deepcopy(model).eval())
    except Exception as error:
        raise TraceError(
            f"{type(model).__name__} cannot be traced into a graph of layers "
            f"({type(error).__name__}: {str(error).splitlines()[0][:200]}); "
            "only networks whose forward does not depend on the values of tensors are supported"
        ) from error
    for node in list(traced.graph.nodes):
        if node.op in ("call_function", "call_method"):
            _layer_from_function(traced, node)
    for layer in traced.modules():
        if hasattr(layer, "inplace"):
            setattr(layer, "inplace", False)  # noqa: B010 (activations share no class that has it)
    for name, module in list(traced.named_modules()):
        if type(module) is nn.LocalResponseNorm:
            traced.set_submodule(name, FastLocalResponseNorm.like(module))
    traced.graph.eliminate_dead_code()
    traced.delete_all_unused_submodules()
    traced.recompile()
    return traced.eval()


def _relu(**_: Any) -> nn.Module:
    return nn.ReLU()


def _max_pool(kernel_size: Any, **options: Any) -> nn.Module:
    return nn.MaxPool2d(kernel_size, **options)


_LAYERS: dict[Any, tuple[tuple[str, ...], Callable[..., nn.Module]]] = {
    F.relu: (("inplace",), _relu),
    torch.relu: ((), _relu),
    "relu": ((), _relu),
    "relu_": ((), _relu),
    F.relu6: (("inplace",), lambda **_: nn.ReLU6()),
    F.max_pool2d: (("kernel_size", "stride", "padding", "dilation", "ceil_mode"), _max_pool),
    torch.max_pool2d: (("kernel_size", "stride", "padding", "dilation", "ceil_mode"), _max_pool),
    F.avg_pool2d: (
        ("kernel_size", "stride", "padding", "ceil_mode", "count_include_pad", "divisor_override"),
        nn.AvgPool2d,
    ),
    F.adaptive_avg_pool2d: (("output_size",), nn.AdaptiveAvgPool2d),
    F.dropout: (("p", "training", "inplace"), lambda p=0.5, **_: nn.Dropout(p)),
    F.local_response_norm: (("size", "alpha", "beta", "k"), nn.LocalResponseNorm),
}


def _layer_from_function(traced: fx.GraphModule, node: fx.Node) -> None:
    if node.target not in _LAYERS:
        return
    names, build = _LAYERS[node.target]
    options = dict(zip(names, node.args[1:], strict=False)) | dict(node.kwargs)
    options.pop("return_indices", None)
    if any(isinstance(value, fx.Node) for value in options.values()):
        return
    source = node.args[0] if node.args else options.pop("input")
    traced.add_submodule(node.name, build(**options))
    node.op, node.target, node.args, node.kwargs = "call_module", node.name, (source,), {}


def layer(graph_module: fx.GraphModule, node: fx.Node) -> nn.Module | None:
    """The layer that a node calls, or None for inputs, functions and the output."""
    return graph_module.get_submodule(str(node.target)) if node.op == "call_module" else None


def label(node: fx.Node) -> str:
    """The name a person knows a node by: the layer's own name where there is one."""
    return str(node.target) if node.op == "call_module" else node.name


def shared_layers(graph_module: fx.GraphModule) -> set[str]:
    """Names of nodes whose layer is called more than once: changing one would change all."""
    modules = {n.name: id(layer(graph_module, n)) for n in graph_module.graph.nodes if n.op == "call_module"}
    calls = Counter(modules.values())
    return {name for name, module in modules.items() if calls[module] > 1}


def propagate_shapes(graph_module: fx.GraphModule, *inputs: tuple[int, ...]) -> None:
    """Write each node's output shape (batch first) into ``node.meta["shape"]``.

    Runs on the meta device: nothing is computed and the weights stay where they are.

    Raises
    ------
    TraceError
        A layer does not accept the shape that reaches it.
    """
    weights = (*graph_module.parameters(), *graph_module.buffers())
    ghost = copy.deepcopy(graph_module, {id(w): _ghost(w) for w in weights})
    recorder = _ShapeRecorder(ghost)
    try:
        recorder.run(*(torch.empty(shape, device="meta") for shape in inputs))
    except Exception as error:
        reason = str(error).splitlines()[0][:200]
        raise TraceError(f"an input of shape {inputs[0]} does not fit the network: {reason}") from error
    for node in graph_module.graph.nodes:
        node.meta["shape"] = recorder.shapes[node.name]


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


def concatenated(node: fx.Node) -> list[fx.Node] | None:
    """The inputs of a concatenation of maps (over channels), or None for anything else."""
    if node.op != "call_function" or node.target not in (torch.cat, torch.concat):
        return None
    parts = node.args[0] if node.args else node.kwargs["tensors"]
    dim = node.args[1] if len(node.args) > 1 else node.kwargs.get("dim", 0)
    return list(parts) if dim == 1 else None  # type: ignore[arg-type]


def is_addition(node: fx.Node) -> bool:
    """Whether a node adds two maps (a residual connection)."""
    functions = (operator.add, operator.iadd, torch.add)
    return (node.op == "call_function" and node.target in functions) or (
        node.op == "call_method" and node.target in ("add", "add_")
    )


def chain_back(node: fx.Node) -> tuple[list[fx.Node], fx.Node]:
    """Follow single-input, single-user layers backwards from `node` to where the path forks."""
    nodes: list[fx.Node] = []
    while node.op == "call_module" and len(node.all_input_nodes) == 1 and len(node.users) == 1:
        nodes.insert(0, node)
        node = node.all_input_nodes[0]
    return nodes, node


def between(graph: fx.Graph, entry: str, exit_: str) -> list[fx.Node]:
    """The nodes that lie on a path from `entry` (left out) to `exit_` (included), in order."""
    flow = _flow(graph)
    reached = networkx.descendants(flow, entry) & (networkx.ancestors(flow, exit_) | {exit_})
    return [node for node in graph.nodes if node.name in reached]


def is_closed(nodes: Iterable[fx.Node], entry: str, exit_: str) -> bool:
    """Whether nothing but `entry` enters the nodes and nothing but `exit_` leaves them."""
    members = {node.name for node in nodes}
    return all(
        {source.name for source in node.all_input_nodes} <= members | {entry}
        and (node.name == exit_ or {user.name for user in node.users} <= members)
        for node in nodes
    )


def _flow(graph: fx.Graph) -> networkx.DiGraph:
    flow = networkx.DiGraph()
    for node in graph.nodes:
        flow.add_node(node.name)
        flow.add_edges_from((source.name, node.name) for source in node.all_input_nodes)
    return flow


def extract(graph_module: fx.GraphModule, entry: str, exit_: str) -> fx.GraphModule:
    """Copy the closed block between two nodes out as a network of its own (weights copied)."""
    graph = fx.Graph()
    copies: dict[str, fx.Node] = {entry: graph.placeholder(entry)}
    source = find(graph_module, entry)
    assert source is not None
    copies[entry].meta = dict(source.meta)
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
        call = graph_module.graph.call_module(name, (source,))
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


def tidy(graph_module: fx.GraphModule) -> None:
    """Drop what no longer leads to the output, and make the graph runnable again."""
    graph_module.graph.eliminate_dead_code()
    graph_module.delete_all_unused_submodules()
    graph_module.graph.lint()
    graph_module.recompile()
