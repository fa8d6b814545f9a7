"""Make a layer norm over channels a scale and shift that folds; no change of layout is left (learned).

Before      x -> permute -> LayerNorm -> { Linear | activation } ... -> permute back -> y; or, with nothing
            between, x -> permute -> LayerNorm -> permute back -> Conv2d -> y (ConvNeXt)
After       x -> { Conv2d 1x1 | activation } ... -> y; or x -> Conv2d -> y
Conditions  a chain of layers called once and read once; an ungrouped convolution
Formula     y = (v - mean) / deviation * w + b with the deviation that is usual on real images in the place
            of each pixel's own (their root mean square; one where none was seen), and no mean. Scale
            w / deviation and shift b go into the layer that reads y
"""

from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor, fx, nn

from merges.channels import CHANNELWISE
from merges.convs import make_conv
from merges.graph import TO_FIRST, TO_LAST, bypass, find, is_permutation, label, layer
from merges.rule import MergeRule, Option, Place, Site

_SCALE = Option("scale")


@dataclass(frozen=True)
class _Chain:
    """A layer norm between two changes of layout.

    `inside` are the layers behind it; where there are none, the convolution `reader` reads it.
    """

    first: fx.Node
    norm: fx.Node
    inside: tuple[fx.Node, ...]
    last: fx.Node
    reader: fx.Node

    @property
    def nodes(self) -> tuple[fx.Node, ...]:
        """In order."""
        tail = () if self.reader in self.inside else (self.reader,)
        return self.first, self.norm, *self.inside, self.last, *tail


class Norm(MergeRule):
    name = "norm"

    def places(self, graph_module: fx.GraphModule) -> Iterator[Place]:
        for node in graph_module.graph.nodes:
            if isinstance(layer(graph_module, node), nn.LayerNorm):
                chain = _chain(graph_module, node)
                reason = "no chain of layers with a change of layout at both ends reads it"
                yield Place(
                    chain.nodes if chain else (node,), [_SCALE] if chain else [], reason, name=label(node)
                )

    def apply(self, block: fx.GraphModule, site: Site, option: Option) -> bool:
        norms = [
            n for name in site.nodes if (n := find(block, name)) and isinstance(layer(block, n), nn.LayerNorm)
        ]
        chain = _chain(block, norms[0]) if norms else None
        if chain is None or chain.nodes[-1].name != site.nodes[-1]:
            return False
        norm = layer(block, chain.norm)
        assert isinstance(norm, nn.LayerNorm)
        for node in chain.inside:
            linear = layer(block, node)
            if isinstance(linear, nn.Linear):
                conv = make_conv(linear.weight.detach()[:, :, None, None], linear.bias)
                block.set_submodule(str(node.target), conv)
        _fold(block, chain.reader, norm, chain.norm.all_input_nodes[0].meta.get("energy"))
        for node in (chain.first, chain.norm, chain.last):
            bypass(block, node)
        return True


def _chain(graph_module: fx.GraphModule, node: fx.Node) -> _Chain | None:
    norm, (first,) = layer(graph_module, node), node.all_input_nodes
    assert isinstance(norm, nn.LayerNorm)
    if not is_permutation(first, TO_LAST) or len(norm.normalized_shape) != 1 or len(first.users) != 1:
        return None
    inside: list[fx.Node] = []
    end = node
    while len(end.users) == 1:
        end = next(iter(end.users))
        if is_permutation(end, TO_FIRST):
            break
        if not isinstance(layer(graph_module, end), (nn.Linear, *CHANNELWISE)):
            return None
        inside.append(end)
    else:
        return None
    if inside:
        reads = isinstance(layer(graph_module, inside[0]), nn.Linear)
        return _Chain(first, node, tuple(inside), end, inside[0]) if reads else None
    reader = next(iter(end.users)) if len(end.users) == 1 else end
    conv = layer(graph_module, reader)
    plain = isinstance(conv, nn.Conv2d) and conv.groups == 1
    return _Chain(first, node, (), end, reader) if plain else None


def _fold(block: fx.GraphModule, reader: fx.Node, norm: nn.LayerNorm, energy: Tensor | None) -> None:
    """Give the reader the norm's scale and shift; of every layout, the mean of the energies is the same."""
    conv = layer(block, reader)
    assert isinstance(conv, nn.Conv2d)
    weight = conv.weight.detach()
    channels = weight.shape[1]
    scale = weight.new_ones(channels) if norm.weight is None else norm.weight.detach()
    shift = weight.new_zeros(channels) if norm.bias is None else norm.bias.detach()
    deviation = weight.new_ones(()) if energy is None else energy.mean().clamp_min(1e-12).sqrt()
    bias = weight.sum((2, 3)) @ shift
    if conv.bias is not None:
        bias = bias + conv.bias.detach()
    conv.weight = nn.Parameter(weight * (scale / deviation)[None, :, None, None])
    conv.bias = nn.Parameter(bias)


RULE = Norm()
