"""Fold constant scales and shifts into the convolution or linear layer beside them (exact).

Before      x -> Conv2d or Linear -> [times a number | plus a number | BatchNorm1d] -> y
            x -> BatchNorm2d -> Conv2d without padding -> y
After       x -> Conv2d' or Linear' -> y
Conditions  nothing else reads what lies between; no layer is called twice; the norm keeps running statistics
Formula     g (W x + b) + c = (g W) x + (g b + c); W (g x + c) + b = (W g) x + (W c + b), without padding,
            since padded zeros would be shifted too
"""

import operator
from collections.abc import Callable

import torch
from torch import Tensor, fx, nn

from merges.graph import bypass, find, layer, shared_layers, tidy
from merges.places import place
from merges.rule import Refusal, Site, Stage

_Affine = tuple[Tensor | float, Tensor | float]  # scale and shift, a number or one a channel
_NUMBERS: dict[Callable[..., object], Callable[[float, bool], _Affine]] = {
    operator.mul: lambda number, first: (number, 0.0),
    operator.add: lambda number, first: (1.0, number),
    operator.sub: lambda number, first: (-1.0, number) if first else (1.0, -number),
    operator.truediv: lambda number, first: (1 / number, 0.0),
}
_NUMBERS |= {
    getattr(torch, name): _NUMBERS[function]
    for name, function in (
        ("mul", operator.mul),
        ("add", operator.add),
        ("sub", operator.sub),
        ("div", operator.truediv),
    )
}


class Scale:
    name = "scale"
    exact = True
    stage = Stage.ALWAYS

    def find(self, graph_module: fx.GraphModule) -> list[Site | Refusal]:
        shared = shared_layers(graph_module)
        found: list[Site | Refusal] = []
        for node in graph_module.graph.nodes:
            backwards, forwards = _affine(graph_module, node), _into_next(graph_module, node)
            if backwards is None and forwards is None:
                continue
            partner = forwards or _linear_before(graph_module, node)
            if partner is None:
                continue
            site = place(graph_module, self.name, (node, partner), ["fold"], shared, exit_=node.name)
            found.append(site)
        return found

    def apply(self, block: fx.GraphModule, site: Site, option: str) -> bool:
        node, partner = (find(block, name) for name in site.nodes)
        if node is None or partner is None:
            return False
        module = layer(block, partner)
        assert isinstance(module, (nn.Conv2d, nn.Linear))
        forwards = _into_next(block, node) is not None
        scale, shift = _norm(layer(block, node)) if forwards else _affine(block, node) or (1.0, 0.0)
        _fold(module, scale, shift, forwards)
        bypass(block, node)
        tidy(block)
        return True


def _fold(
    module: nn.Conv2d | nn.Linear, scale: Tensor | float, shift: Tensor | float, forwards: bool
) -> None:
    """Put ``scale * _ + shift`` of what a layer makes (or, forwards, of what it reads) into the layer."""
    weight = module.weight.detach()
    bias = weight.new_zeros(len(weight)) if module.bias is None else module.bias.detach()
    if forwards:
        assert isinstance(module, nn.Conv2d)
        scale, shift = (_by_group(value, module) for value in (scale, shift))
        bias = bias + (weight * shift).sum((1, 2, 3))
        weight = weight * scale
    else:
        spread = torch.as_tensor(scale, dtype=weight.dtype).expand(len(weight))
        weight = weight * spread.reshape(-1, *(1,) * (weight.ndim - 1))
        bias = bias * scale + shift
    module.weight, module.bias = nn.Parameter(weight), nn.Parameter(bias)


def _by_group(value: Tensor | float, conv: nn.Conv2d) -> Tensor:
    """One value an input channel, laid out as the weights: (out, in / groups, 1, 1)."""
    each = torch.as_tensor(value).expand(conv.in_channels).reshape(conv.groups, 1, -1)
    return each.expand(-1, conv.out_channels // conv.groups, -1).reshape(conv.out_channels, -1, 1, 1)


def _affine(graph_module: fx.GraphModule, node: fx.Node) -> _Affine | None:
    """The scale and shift of a node that only scales and shifts by constants."""
    module = layer(graph_module, node)
    if isinstance(module, nn.BatchNorm1d) and module.running_mean is not None:
        return _norm(module) if len(node.meta["shape"]) == 2 else None
    if node.op != "call_function" or node.target not in _NUMBERS or node.kwargs or len(node.args) != 2:
        return None
    first, second = node.args
    number = first if isinstance(first, (int, float)) else second
    if not isinstance(number, (int, float)) or len(node.all_input_nodes) != 1:
        return None
    if number is first and node.target in (operator.truediv, torch.div):
        return None
    return _NUMBERS[node.target](float(number), number is first)


def _norm(norm: nn.Module | None) -> _Affine:
    assert isinstance(norm, (nn.BatchNorm1d, nn.BatchNorm2d))
    assert norm.running_mean is not None
    assert norm.running_var is not None
    gain = torch.rsqrt(norm.running_var + norm.eps)
    if norm.affine:
        gain = gain * norm.weight.detach()
    shift = -norm.running_mean * gain
    return gain, shift + norm.bias.detach() if norm.affine else shift


def _linear_before(graph_module: fx.GraphModule, node: fx.Node) -> fx.Node | None:
    """The convolution or linear layer that alone feeds a node, through nodes that are folded before it."""
    before = node.all_input_nodes[0]
    while len(before.users) == 1:
        if isinstance(layer(graph_module, before), (nn.Conv2d, nn.Linear)):
            return before
        if _affine(graph_module, before) is None:
            return None
        before = before.all_input_nodes[0]
    return None


def _into_next(graph_module: fx.GraphModule, node: fx.Node) -> fx.Node | None:
    """The unpadded convolution that alone reads a norm which no convolution stands before."""
    norm = layer(graph_module, node)
    if not isinstance(norm, nn.BatchNorm2d) or norm.running_mean is None or len(node.users) != 1:
        return None
    before, reader = node.all_input_nodes[0], next(iter(node.users))
    conv = layer(graph_module, reader)
    folds_back = isinstance(layer(graph_module, before), nn.Conv2d) and len(before.users) == 1
    if folds_back or not isinstance(conv, nn.Conv2d) or conv.padding not in ((0, 0), "valid"):
        return None
    return reader


RULE = Scale()
