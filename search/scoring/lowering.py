"""Lowers a network to layers with kernels: the only bridge from graphs to latency models."""

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

import torch
from torch import fx, nn

from latency_models.kernel import Kernel, Layer, Shape
from merges.functions import cut
from merges.graph import concatenated, is_addition, label, layer
from search.scoring.alone import details_of, model_of

_OPS: dict[type[nn.Module], str] = {
    nn.Conv2d: "conv",
    nn.Linear: "linear",
    nn.MaxPool2d: "maxpool",
    nn.AvgPool2d: "avgpool",
    nn.AdaptiveAvgPool2d: "avgpool",
    nn.LocalResponseNorm: "lrn",
    nn.BatchNorm2d: "batchnorm",
    nn.ReLU: "relu",
    nn.ReLU6: "relu6",
}
_KNOWN = {
    *_OPS.values(),
    *("sigmoid", "tanh", "hardsigmoid", "hardswish", "silu", "leakyrelu", "gelu", "identity", "dropout"),
}
_FLATTENING = (torch.flatten, torch.unflatten, torch.reshape)


def lower(graph_module: fx.GraphModule, skip: frozenset[str] = frozenset()) -> list[Layer]:
    """Every operation of a network with known shapes (see ``propagate_shapes``), in order.

    Operations that no latency model knows keep their own name, so that predictors can refuse them by name.
    Nodes named in `skip` are left out (blocks that are lowered on their own).
    """
    names = _names(graph_module)
    made: list[Layer] = []
    for node in graph_module.graph.nodes:
        if node.op in ("placeholder", "output", "get_attr") or names[node] in skip:
            continue
        inputs = tuple(names[n] for n in node.all_input_nodes if n.op != "get_attr")
        pieces = _pieces(node)
        if pieces:
            split = f"{names[pieces[0]]} (split)"
            if node is pieces[0]:
                source = _shape(node.all_input_nodes[0])
                parts = tuple(_shape(piece)[0] for piece in pieces)
                made.append(Layer(split, Kernel("split", source, source, parts=parts), inputs))
            made.append(Layer(names[node], Kernel("part", _shape(node), _shape(node)), (split,)))
        else:
            made.append(Layer(names[node], _kernel(graph_module, node), inputs))
    return made


def _pieces(node: fx.Node) -> list[fx.Node]:
    """Cuts that together split all of their source, which exporters write as one split; else none."""
    if not _is_cut(node):
        return []
    source = node.all_input_nodes[0]
    cuts = sorted((user for user in source.users if _is_cut(user)), key=lambda cut: cut.args[2])  # type: ignore[arg-type,return-value]
    ends = [0, *(cut.args[3] for cut in cuts)]
    whole = (
        len(cuts) > 1 and [cut.args[2] for cut in cuts] == ends[:-1] and ends[-1] in (None, _shape(source)[0])
    )
    return cuts if whole else []


def _is_cut(node: fx.Node) -> bool:
    """Whether a node takes a range of channels."""
    return (
        node.op == "call_function" and node.target is cut and bool(node.args[1] == 1) and len(node.args) == 4
    )


def end_of(graph_module: fx.GraphModule) -> str:
    """The name, as given by `lower`, of a block's output."""
    output = next(node for node in graph_module.graph.nodes if node.op == "output")
    return _names(graph_module)[output.all_input_nodes[0]]


def _names(graph_module: fx.GraphModule) -> dict[fx.Node, str]:
    """A name for every node: its label, or its own name where another node has the same label."""
    calls = Counter(label(node) for node in graph_module.graph.nodes)
    return {n: label(n) if calls[label(n)] == 1 else n.name for n in graph_module.graph.nodes}


def _kernel(graph_module: fx.GraphModule, node: fx.Node) -> Kernel:
    maps = [source for source in node.all_input_nodes if source.op != "get_attr"] or node.all_input_nodes
    source, target = _shape(maps[0]), _shape(node)
    parts = concatenated(node)
    if parts is not None:
        return Kernel("concat", target, target, parts=tuple(_shape(p)[0] for p in parts))
    if is_addition(node) and _alike(maps):
        return Kernel("add", target, target)
    if node.target is torch.mul and len(maps) == 2 and maps == node.all_input_nodes:
        if _alike(maps):
            return Kernel("mul", target, target)
        gates = [one for one in maps if one.meta["shape"] == (1, target[0], 1, 1)]
        if len(node.meta["shape"]) == 4 and len(gates) == 1 and _shape(maps[maps[0] in gates]) == target:
            return Kernel("gate", target, target)
    module = layer(graph_module, node)
    if module is None:
        if node.target in _FLATTENING:
            return Kernel("flatten", source, target)
        if node.target is torch.mean and len(node.meta["shape"]) == 4 and target == (source[0], 1, 1):
            return Kernel("mean", source, target)
        return _as_it_stands(graph_module, node, getattr(node.target, "__name__", str(node.target)))
    op = next((op for kind, op in _OPS.items() if isinstance(module, kind)), type(module).__name__.lower())
    if op == "linear" and len(node.meta["shape"]) != 2:
        return _as_it_stands(graph_module, node, "linear of maps")
    if op not in _KNOWN or getattr(module, "padding_mode", "zeros") != "zeros":
        return _as_it_stands(graph_module, node, op)
    return Kernel(op, source, target, **_geometry(module, source, target))


def _alike(maps: Sequence[fx.Node]) -> bool:
    return len({one.meta["shape"] for one in maps}) == 1


def _as_it_stands(graph_module: fx.GraphModule, node: fx.Node, op: str) -> Kernel:
    """An operation that no field of a kernel describes: everything about it is in its details."""
    maps = [one for one in node.all_input_nodes if one.op != "get_attr"] or node.all_input_nodes
    return Kernel(
        op,
        _shape(maps[0]),
        _shape(node),
        details=details_of(graph_module, node),
        model=model_of(graph_module, node),
        work=_work(graph_module, node),
    )


def _work(graph_module: fx.GraphModule, node: fx.Node) -> tuple[int, int]:
    """Multiply-accumulates and parameters of convolutions of other kinds, and of products of matrices."""
    shape, module = node.meta["shape"], layer(graph_module, node)
    if module is not None:
        parameters = sum(weight.numel() for weight in module.parameters())
        weight = getattr(module, "weight", None)
        if weight is None or weight.ndim < 2:
            return 0, parameters
        transposed = isinstance(module, nn.ConvTranspose2d)
        places = node.all_input_nodes[0].meta["shape"] if transposed else shape
        return math.prod(places) * math.prod(weight.shape[1:]), parameters
    if node.target in (torch.matmul, torch.bmm):
        return math.prod(shape) * node.all_input_nodes[0].meta["shape"][-1], 0
    return 0, 0


def _geometry(module: nn.Module, source: Shape, target: Shape) -> dict[str, Any]:
    if isinstance(module, nn.LocalResponseNorm):
        return {"window": (module.size, 1)}
    if isinstance(module, nn.AdaptiveAvgPool2d):
        stride = (source[1] // target[1], source[2] // target[2])
        window = tuple(i - (o - 1) * s for i, o, s in zip(source[1:], target[1:], stride, strict=True))
        return {"window": window, "stride": stride if target[1:] != (1, 1) else (1, 1)}
    if isinstance(module, (nn.MaxPool2d, nn.AvgPool2d)):
        return {n: _pair(getattr(module, a)) for n, a in _SIDES.items()}
    if isinstance(module, nn.Conv2d):
        sizes = {n: _pair(getattr(module, a)) for n, a in _SIDES.items()}
        return sizes | {"dilation": _pair(module.dilation), "groups": module.groups}
    return {}


_SIDES = {"window": "kernel_size", "stride": "stride", "padding": "padding"}


def _pair(value: Any) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else (value[0], value[1])


def _shape(node: fx.Node) -> Shape:
    """Shape without the batch, as (channels, height, width); vectors get two ones.

    With more dimensions, the last two stay and the others count as channels, so that no value is left out.
    """
    sides = tuple(node.meta["shape"][1:])
    if len(sides) > 3:
        return math.prod(sides[:-2]), sides[-2], sides[-1]
    channels, height, width = (*sides, 1, 1, 1)[:3]
    return channels, height, width
