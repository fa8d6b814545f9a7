"""Make a block's expensive activations cheap ones (learned).

Before      x -> Conv2d -> SiLU -> Conv2d -> SiLU -> { Conv2d | Linear } -> y
After       the same with ReLU, or with hard-swish, in the place of all of them
Conditions  activations of one block: at most two, before a layer that no activation follows, or a sum or
            concatenation; layers called once
Formula     hard-swish is SiLU in pieces of lines (MobileNetV3, Howard et al. 2019); ReLU costs nothing where
            the runtime fuses it into the convolution
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from torch import fx, nn

from merges.channels import made_by
from merges.graph import Flow, concatenated, find, is_addition, label, layer
from merges.rule import MergeRule, Option, Place, Site

_EXPENSIVE = (nn.SiLU, nn.GELU, nn.Hardswish, nn.Mish, nn.ELU, nn.Softplus, nn.SELU, nn.CELU)
_LINEAR = (nn.Conv2d, nn.Linear)
_MOST = 2  # in a block


@dataclass(frozen=True)
class _Cheap(Option):
    """An activation of this kind in the place of all."""

    kind: type[nn.Module]


_RELU, _HARDSWISH = _Cheap("ReLU", nn.ReLU), _Cheap("hard-swish", nn.Hardswish)


class Activation(MergeRule):
    name = "activation"

    def places(self, graph_module: fx.GraphModule) -> Iterator[Place]:
        flow = Flow(graph_module.graph)
        for members, end in _blocks(graph_module):
            nodes = [*_maker(graph_module, members[0]), *members, *([end] if end is not None else [])]
            entry, exit_ = _ends(flow, nodes, members)
            kinds = {type(layer(graph_module, node)) for node in members}
            options = [_RELU] if kinds == {nn.Hardswish} else [_RELU, _HARDSWISH]
            yield Place(nodes, options, name=label(members[0]), entry=entry, exit=exit_)

    def apply(self, block: fx.GraphModule, site: Site, option: Option) -> bool:
        assert isinstance(option, _Cheap)
        found = [node for name in site.nodes if (node := find(block, name)) is not None]
        changed = [node for node in found if isinstance(layer(block, node), _EXPENSIVE)]
        for node in changed:
            block.set_submodule(str(node.target), option.kind())
        return bool(changed)


def _blocks(graph_module: fx.GraphModule) -> Iterator[tuple[list[fx.Node], fx.Node | None]]:
    """Activations of maps or lists of vectors, block by block, with the layer that ends the block if any."""
    members: list[fx.Node] = []
    for node in graph_module.graph.nodes:
        module = layer(graph_module, node)
        expensive = isinstance(module, _EXPENSIVE) and _is_large(node)
        if members and (is_addition(node) or concatenated(node) or (expensive and len(members) == _MOST)):
            yield members, None
            members = []
        members += [node] if expensive else []
        ends_block = isinstance(module, _LINEAR) and not any(
            isinstance(layer(graph_module, reader), _EXPENSIVE) for reader in node.users
        )
        if members and ends_block and _is_large(node):
            yield members, node if made_by(module) else None
            members = []
    if members:
        yield members, None


def _is_large(node: fx.Node) -> bool:
    """Whether there is more than a vector to an image: those of gates take no time."""
    shape = node.meta["shape"]
    return len(shape) > 2 and shape[1:] != (shape[1], 1, 1)


def _maker(graph_module: fx.GraphModule, activation: fx.Node) -> list[fx.Node]:
    """The layer whose values an activation alone reads."""
    (source,) = activation.all_input_nodes
    return [source] if isinstance(layer(graph_module, source), _LINEAR) and len(source.users) == 1 else []


def _ends(flow: Flow, nodes: Sequence[fx.Node], members: Sequence[fx.Node]) -> tuple[str, str]:
    """Between which nodes a block can be rebuilt: with the layers around its activations, if possible."""
    first, last = nodes[0].all_input_nodes[0].name, nodes[-1].name
    for entry, exit_ in ((first, last), (first, members[-1].name)):
        if flow.is_closed(flow.between(entry, exit_), entry, exit_):
            return entry, exit_
    return members[0].all_input_nodes[0].name, members[-1].name


RULE = Activation()
