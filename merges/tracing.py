"""Trace a network into a graph of layers that rules know."""

import copy
import operator
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import fx, nn

from merges.graph import TraceError
from merges.norm import FastLocalResponseNorm


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
    _refuse_hidden_writes(traced)
    for node in list(traced.graph.nodes):
        if node.op in ("call_function", "call_method"):
            _layer_from_function(traced, node)
    for layer in traced.modules():
        if hasattr(layer, "inplace"):
            setattr(layer, "inplace", False)  # noqa: B010 (activations share no class that has it)
    for name, module in list(traced.named_modules()):
        if type(module) is nn.LocalResponseNorm:
            traced.set_submodule(name, FastLocalResponseNorm.like(module))
    _separate_calls(traced)
    traced.graph.eliminate_dead_code()
    traced.delete_all_unused_submodules()
    traced.recompile()
    return traced.eval()


def _separate_calls(traced: fx.GraphModule) -> None:
    """Give every call of a layer without weights (one ReLU for a whole block) a layer of its own."""
    called: set[str] = set()
    for node in traced.graph.nodes:
        if node.op != "call_module":
            continue
        module = traced.get_submodule(str(node.target))
        if str(node.target) in called and not module.state_dict():
            traced.add_submodule(node.name, copy.deepcopy(module))
            node.target = node.name
        called.add(str(node.target))


def _refuse_hidden_writes(traced: fx.GraphModule) -> None:
    """An operation that writes into maps which other layers read too cannot be moved."""
    for node in traced.graph.nodes:
        in_place = node.target in _IN_PLACE or (node.op == "call_method" and str(node.target).endswith("_"))
        if in_place and node.args and isinstance(node.args[0], fx.Node) and len(node.args[0].users) > 1:
            raise TraceError(
                f"{node.name} writes into maps that other layers read too ({node.args[0].name}); "
                "use the form that makes new maps"
            )


def freeze_sizes(traced: fx.GraphModule, name: str) -> None:
    """Make constants of sizes that the forward method works out, for the known input shape.

    Views get plain numbers (any batch), and pieces of ``chunk`` and ``split`` are cut out one by one.

    Raises
    ------
    TraceError
        A layer is left that gives no tensor.
    """
    for node in list(traced.graph.nodes):
        shape = node.meta["shape"]
        if node.op == "call_method" and node.target in ("view", "reshape"):
            node.target, node.args = "reshape", (node.args[0], -1, *shape[1:])
        elif node.target is torch.reshape:
            node.args = (node.args[0], (-1, *shape[1:]))
        elif node.target is operator.getitem and node.args[0].target in _SPLITS:
            _cut_out(node)
    traced.graph.eliminate_dead_code()
    for node in traced.graph.nodes:
        if node.meta["shape"] is None and node.op != "output":
            raise TraceError(
                f"{name}: {node.name} ({node.target}) gives no tensor; "
                "only networks whose layers hand on tensors are supported"
            )
    traced.recompile()


def _cut_out(piece: fx.Node) -> None:
    """``chunk(x, n, dim)[i]`` as ``narrow(x, dim, start, length)``, all pieces before it being known."""
    split, index = piece.args
    assert isinstance(split, fx.Node)
    assert isinstance(index, int)
    dim = split.args[2] if len(split.args) > 2 else split.kwargs.get("dim", 0)
    assert isinstance(dim, int)
    sizes = split.meta["parts"]
    start = sum(size[dim] for size in sizes[:index])
    piece.target = torch.narrow
    piece.args, piece.kwargs = (split.args[0], dim, start, sizes[index][dim]), {}


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


_IN_PLACE = (operator.iadd, operator.imul, operator.isub, operator.itruediv)
_SPLITS = ("chunk", "split", torch.chunk, torch.split)


def _layer_from_function(traced: fx.GraphModule, node: fx.Node) -> None:
    if node.target in (F.conv2d, F.linear, torch.conv2d):
        _layer_from_weights(traced, node)
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


def _layer_from_weights(traced: fx.GraphModule, node: fx.Node) -> None:
    """A convolution or linear layer for a call with the network's own weights."""
    names = ("weight", "bias", "stride", "padding", "dilation", "groups")
    options: dict[str, Any] = dict(zip(names, node.args[1:], strict=False)) | dict(node.kwargs)
    weights = {name: options.pop(name, None) for name in ("weight", "bias")}
    weights = {name: source for name, source in weights.items() if source is not None}
    if any(getattr(source, "op", "") != "get_attr" for source in weights.values()):
        return
    values = {name: operator.attrgetter(str(w.target))(traced) for name, w in weights.items()}
    weight, bias = values["weight"], values.get("bias")
    source = node.args[0] if node.args else options.pop("input")
    if node.target is F.linear:
        module: nn.Module = nn.Linear(weight.shape[1], weight.shape[0], bias is not None)
    else:
        channels = weight.shape[1] * options.get("groups", 1)
        module = nn.Conv2d(channels, weight.shape[0], weight.shape[2:], bias=bias is not None, **options)
    module.load_state_dict(values)
    traced.add_submodule(node.name, module)
    node.op, node.target, node.args, node.kwargs = "call_module", node.name, (source,), {}
