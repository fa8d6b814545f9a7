"""Fold constant scales and shifts into the convolution or linear layer beside them (exact).

Before      x -> Conv2d or Linear -> [times a constant | plus a constant | BatchNorm1d] -> y
            x -> [BatchNorm2d | times a constant | plus a constant] -> Conv2d -> y
After       x -> Conv2d' or Linear' -> y
Conditions  the constant is one number, or one a channel (layer scale); nothing else reads what lies between,
            which may bring the channels to the front; no layer on the way is called twice; the norm keeps
            running statistics; a convolution behind a shift does not pad
Formula     g (W x + b) + c = (g W) x + (g b + c); W (g x + c) + b = (W g) x + (W c + b), without padding,
            since padded zeros would be shifted too
"""

from collections.abc import Iterator

import torch
from torch import Tensor, fx, nn

from merges.graph import TO_FIRST, bypass, find, is_permutation, layer
from merges.rule import MergeRule, Option, Place, Site, Stage

_Affine = tuple[Tensor | float, Tensor | float]  # scale and shift, a number or one a channel


class Scale(MergeRule):
    name = "scale"
    exact = True
    stage = Stage.ALWAYS

    def places(self, graph_module: fx.GraphModule) -> Iterator[Place]:
        for node in graph_module.graph.nodes:
            way = None if _affine(graph_module, node) is None else _way_back(graph_module, node)
            if way is not None:
                yield Place((node, *way), [Option("fold")], exit=node.name)
                continue
            reader = _into_next(graph_module, node)
            if reader is not None:
                yield Place((node, reader), [Option("fold")], exit=node.name)

    def apply(self, block: fx.GraphModule, site: Site, option: Option) -> bool:
        node, partner = find(block, site.nodes[0]), find(block, site.nodes[-1])
        if node is None or partner is None:
            return False
        module = layer(block, partner)
        assert isinstance(module, (nn.Conv2d, nn.Linear))
        forwards = partner in node.users
        scale, shift = (_before(block, node) if forwards else _affine(block, node)) or (1.0, 0.0)
        _fold(module, scale, shift, forwards)
        bypass(block, node)
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
    if node.op != "call_function" or node.target not in (torch.add, torch.mul):
        return None
    maps, constant = node.args
    value = _constant(graph_module, maps, constant, node.meta["shape"])
    if value is None:
        return None
    return (1.0, value) if node.target is torch.add else (value, 0.0)


def _constant(
    graph_module: fx.GraphModule, maps: object, constant: object, shape: tuple[int, ...]
) -> Tensor | float | None:
    """A number, or the constant's values by channel (of maps, of the last side else); None for others."""
    if not isinstance(maps, fx.Node) or maps.op == "get_attr" or maps.meta["shape"] != shape:
        return None
    if isinstance(constant, (int, float)):
        return float(constant)
    if not isinstance(constant, fx.Node) or constant.op != "get_attr":
        return None
    values: Tensor = getattr(graph_module, str(constant.target)).detach()
    maker = _maker(graph_module, maps)
    first = isinstance(layer(graph_module, maker), nn.Conv2d) or is_permutation(maker, TO_FIRST)
    channels = 1 if first else len(shape) - 1
    wanted = [1] * len(shape)
    wanted[channels] = shape[channels]
    given = [1] * (len(shape) - values.ndim) + list(values.shape)
    return values.flatten() if given == wanted else None


def _maker(graph_module: fx.GraphModule, node: fx.Node) -> fx.Node:
    """The node behind scales and shifts that makes what is scaled."""
    while node.op == "call_function" and node.target in (torch.add, torch.mul):
        node = node.all_input_nodes[0]
    return node


def _norm(norm: nn.Module | None) -> _Affine:
    assert isinstance(norm, (nn.BatchNorm1d, nn.BatchNorm2d))
    assert norm.running_mean is not None
    assert norm.running_var is not None
    gain = torch.rsqrt(norm.running_var + norm.eps)
    if norm.affine:
        gain = gain * norm.weight.detach()
    shift = -norm.running_mean * gain
    return gain, shift + norm.bias.detach() if norm.affine else shift


def _way_back(graph_module: fx.GraphModule, node: fx.Node) -> list[fx.Node] | None:
    """From what feeds a node back to the convolution or linear layer, through nodes folded before it."""
    way, makers = [node.all_input_nodes[0]], (nn.Conv2d, nn.Linear)
    while len(way[-1].users) == 1:
        if isinstance(layer(graph_module, way[-1]), makers):
            return way
        if is_permutation(way[-1], TO_FIRST):
            makers = (nn.Linear,)  # type: ignore[assignment]
        elif _affine(graph_module, way[-1]) is None:
            return None
        way.append(way[-1].all_input_nodes[0])
    return None


def _into_next(graph_module: fx.GraphModule, node: fx.Node) -> fx.Node | None:
    """The convolution that alone reads a norm, or a scale or shift, which no convolution stands before.

    It does not pad where what it reads is shifted: zeros would not be.
    """
    affine = _before(graph_module, node) if len(node.users) == 1 else None
    if affine is None:
        return None
    before, reader = node.all_input_nodes[0], next(iter(node.users))
    conv = layer(graph_module, reader)
    folds_back = isinstance(layer(graph_module, before), nn.Conv2d) and len(before.users) == 1
    if folds_back or not isinstance(conv, nn.Conv2d) or conv.padding_mode != "zeros":
        return None
    moved = isinstance(affine[1], Tensor) or affine[1] != 0.0
    return None if moved and conv.padding != (0, 0) else reader


def _before(graph_module: fx.GraphModule, node: fx.Node) -> _Affine | None:
    """The scale and shift of a norm of maps, or of a product or sum with a number."""
    norm = layer(graph_module, node)
    if isinstance(norm, nn.BatchNorm2d):
        return None if norm.running_mean is None else _norm(norm)
    numbers = [arg for arg in node.args if isinstance(arg, (int, float))]
    return _affine(graph_module, node) if len(numbers) == 1 and len(node.meta["shape"]) == 4 else None


RULE = Scale()
