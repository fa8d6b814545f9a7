"""Take a squeeze-and-excitation gate out, or halve it (learned).

Before      x -> { x | mean -> Conv2d 1x1 -> activation -> Conv2d 1x1 -> sigmoid } -> * -> Conv2d -> y
After       x -> Conv2d -> y, each of its input channels scaled by a constant; or the gate with half the
            channels inside
Conditions  the gate reads what it multiplies, and nothing reads inside; one ungrouped or depthwise
            convolution reads the product; layers called once
Formula     a gate's factors (Hu et al. 2018) differ more from channel to channel than from image to image:
            the constant is their root mean square on real images; one half (a sigmoid of 0) where none was
            seen
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import fx, nn

from merges.channels import Channels, cut, group_from, is_depthwise, is_product, made_by
from merges.graph import Flow, find, label, layer
from merges.rule import MergeRule, Option, Place, Site

_CONSTANT, _HALF = Option("constant"), Option("half width")
_LEAST_TO_HALVE = 8
_UNSEEN = 0.5


@dataclass(frozen=True)
class _Gate:
    """A product of maps with factors that are made of them, and the convolution that reads it."""

    maps: fx.Node
    factors: fx.Node
    product: fx.Node
    reader: fx.Node
    inside: tuple[fx.Node, ...]


class GateRule(MergeRule):
    name = "gate"

    def places(self, graph_module: fx.GraphModule) -> Iterator[Place]:
        flow = Flow(graph_module.graph)
        for node in graph_module.graph.nodes:
            gate = _gate(graph_module, flow, node)
            if isinstance(gate, str):
                if gate:
                    yield Place((node,), [], gate)
                continue
            squeezed = _squeezed(graph_module, gate)
            wide = squeezed is not None and made_by(layer(graph_module, squeezed.maker)) >= _LEAST_TO_HALVE
            options = [_CONSTANT, _HALF] if wide else [_CONSTANT]
            nodes = (*gate.inside, gate.reader)
            yield Place(nodes, options, name=label(node), entry=gate.maps.name, exit=gate.reader.name)

    def apply(self, block: fx.GraphModule, site: Site, option: Option) -> bool:
        node = next(
            (n for name in site.nodes if (n := find(block, name)) is not None and is_product(n)), None
        )
        gate = "" if node is None else _gate(block, Flow(block.graph), node)
        if isinstance(gate, str) or gate.reader.name != site.nodes[-1]:
            return False
        if option == _HALF:
            squeezed = _squeezed(block, gate)
            if squeezed is None:
                return False
            cut(block, squeezed, made_by(layer(block, squeezed.maker)) // 2)
        else:
            _fold(block, gate)
        return True


def _gate(graph_module: fx.GraphModule, flow: Flow, node: fx.Node) -> _Gate | str:
    """The gate that ends in a product; or why it cannot be taken out, empty where there is none."""
    if not is_product(node):
        return ""
    for maps, factors in (node.all_input_nodes, node.all_input_nodes[::-1]):
        shape = maps.meta["shape"]
        if len(shape) != 4 or factors.meta["shape"] != (*shape[:2], 1, 1) or shape[2:] == (1, 1):
            continue
        inside = flow.between(maps.name, node.name)
        if factors.name not in inside or not flow.is_closed(inside, maps.name, node.name):
            return "its factors are made of more than the maps that they multiply"
        reader = next(iter(node.users)) if len(node.users) == 1 else node
        module = layer(graph_module, reader)
        if not isinstance(module, nn.Conv2d) or not (module.groups == 1 or is_depthwise(module)):
            return "no convolution alone reads the product"
        return _Gate(
            maps, factors, node, reader, tuple(n for n in graph_module.graph.nodes if n.name in inside)
        )
    return ""


def _squeezed(graph_module: fx.GraphModule, gate: _Gate) -> Channels | None:
    """The channels inside a gate."""
    found = (group_from(graph_module, node) for node in gate.inside)
    return next((g for g in found if isinstance(g, Channels) and g.reader in gate.inside), None)


def _fold(block: fx.GraphModule, gate: _Gate) -> None:
    """Scale what the reader reads by a constant for every channel, and leave the gate out."""
    module = layer(block, gate.reader)
    assert isinstance(module, nn.Conv2d)
    energy = gate.factors.meta.get("energy")
    weight = module.weight.detach()
    if energy is None:
        factors = torch.full_like(weight[0, :, 0, 0] if module.groups == 1 else weight[:, 0, 0, 0], _UNSEEN)
    else:
        factors = energy.sqrt()
    scale = factors[None, :, None, None] if module.groups == 1 else factors[:, None, None, None]
    module.weight = nn.Parameter(weight * scale)
    gate.product.replace_all_uses_with(gate.maps)


RULE = GateRule()
