"""Network -> layers with kernels, as latency models see them (the only bridge between the two)."""

from collections import Counter
from typing import Any

import torch
from torch import fx, nn

from latency_models.kernel import Kernel, Layer, Shape
from merges.graph import concatenated, is_addition, label, layer

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
    nn.Dropout: "dropout",
    nn.Dropout2d: "dropout",
    nn.Flatten: "flatten",
    nn.Identity: "identity",
    nn.Softmax: "softmax",
}
_FLATTENING = ("flatten", "view", "reshape", "squeeze", "contiguous")


def lower(graph_module: fx.GraphModule, skip: frozenset[str] = frozenset()) -> list[Layer]:
    """Every operation of a network with known shapes (see ``propagate_shapes``), in order.

    Operations that no latency model knows keep their own name, so that a predictor refuses them by
    name. Nodes called in `skip` are left out (blocks that are lowered on their own).
    """
    names = _names(graph_module)
    made: list[Layer] = []
    for node in graph_module.graph.nodes:
        if node.op in ("placeholder", "output", "get_attr") or names[node] in skip:
            continue
        inputs = tuple(names[n] for n in node.all_input_nodes)
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
    """Cuts that together take all of their source apart, which exporters write as one split; else none."""
    if node.target is not torch.narrow or node.args[1] != 1:
        return []
    source = node.all_input_nodes[0]
    cuts = [user for user in source.users if user.target is torch.narrow and user.args[1] == 1]
    cuts.sort(key=lambda cut: cut.args[2])  # type: ignore[arg-type,return-value]
    whole = len(cuts) > 1 and sum(_shape(cut)[0] for cut in cuts) == _shape(source)[0]
    return cuts if whole else []


def end_of(graph_module: fx.GraphModule) -> str:
    """The name, as `lower` gives it, of what a network or block answers."""
    output = next(node for node in graph_module.graph.nodes if node.op == "output")
    return _names(graph_module)[output.all_input_nodes[0]]


def _names(graph_module: fx.GraphModule) -> dict[fx.Node, str]:
    """A name for every node: its layer's, or its own where the layer is called more than once."""
    calls = Counter(label(node) for node in graph_module.graph.nodes)
    return {n: label(n) if calls[label(n)] == 1 else n.name for n in graph_module.graph.nodes}


def _kernel(graph_module: fx.GraphModule, node: fx.Node) -> Kernel:
    source, target = _shape(node.all_input_nodes[0]), _shape(node)
    parts = concatenated(node)
    if parts is not None:
        return Kernel("concat", target, target, parts=tuple(_shape(p)[0] for p in parts))
    if is_addition(node):
        return Kernel("add", target, target)
    module = layer(graph_module, node)
    if module is None:
        name = (
            node.target
            if isinstance(node.target, str)
            else getattr(node.target, "__name__", str(node.target))
        )
        if name == "mean" and target[1:] == (1, 1) and source[0] == target[0]:
            return Kernel("mean", source, target, window=source[1:])
        return Kernel("flatten" if name in _FLATTENING else name, source, target)
    op = next((op for kind, op in _OPS.items() if isinstance(module, kind)), type(module).__name__.lower())
    return Kernel(op, source, target, **_geometry(module, source, target))


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
        padding = module.padding if not isinstance(module.padding, str) else _same(module)
        return {
            "window": _pair(module.kernel_size),
            "stride": _pair(module.stride),
            "padding": _pair(padding),
            "dilation": _pair(module.dilation),
            "groups": module.groups,
        }
    return {}


_SIDES = {"window": "kernel_size", "stride": "stride", "padding": "padding"}


def _same(conv: nn.Conv2d) -> tuple[int, int]:
    if conv.padding == "valid":
        return 0, 0
    first, second = (d * (k - 1) // 2 for d, k in zip(conv.dilation, conv.kernel_size, strict=True))
    return first, second


def _pair(value: Any) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else (value[0], value[1])


def _shape(node: fx.Node) -> Shape:
    """Shape without the batch, as (channels, height, width); vectors get two ones."""
    shape = node.meta["shape"] or (1, 1)
    padded = (*shape[1:], 1, 1)[:3]
    return padded[0], padded[1], padded[2]
