"""Cut channels that live inside a block (learned).

Before      x -> Conv2d or Linear (c channels) -> { activation | pooling | depthwise | gate } ... -> Conv2d or
            Linear -> y
After       the same with f c channels
Conditions  the channels reach nothing but what gives each channel from itself (activations, poolings,
            depthwise convolutions, squeeze-and-excitation) and one layer that reads them all; no layer of
            another such place, but at the end of a residual branch; layers called once
Formula     the middle of residual blocks, the expansion of inverted ones, hidden features. Kept are the
            channels with the largest effect on the reader (``merges.channels.effects``); least squares on
            real images then let the reader make up for the others. Widths are multiples of 4, to fill vectors
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from torch import fx, nn

from merges.channels import CHANNELWISE, Channels, cut, group_from, is_product, made_by, widths
from merges.graph import find, is_addition, label, layer
from merges.rule import MergeRule, Option, Place, Site


@dataclass(frozen=True)
class _Share(Option):
    """`share` of the channels that stay."""

    share: float


class Width(MergeRule):
    name = "width"

    def mine(self, graph_module: fx.GraphModule, group: Channels) -> bool:
        """Whether a group is this rule's."""
        return not (is_reducer(graph_module, group) or _makes_factors(graph_module, group))

    def places(self, graph_module: fx.GraphModule) -> Iterator[Place]:
        found = [(node, group_from(graph_module, node)) for node in graph_module.graph.nodes]
        groups = [group for _, group in found if isinstance(group, Channels)]
        taken = {node for group in groups if is_reducer(graph_module, group) for node in group.nodes}
        for node, group in found:
            if isinstance(group, str):
                if group:
                    yield Place((node,), [], group)
            elif self.mine(graph_module, group):
                place = self.place(graph_module, group, taken)
                taken |= set(group.nodes) if place.options else set()
                yield place

    def place(self, graph_module: fx.GraphModule, group: Channels, taken: Collection[fx.Node] = ()) -> Place:
        """A group's place; refused where a layer is in another group: chains would become one block.

        The end of a residual branch ends the chain: both groups of a bottleneck can be cut.
        """
        count = made_by(layer(graph_module, group.maker))
        options, reason = widths(count), f"{count} channels are too few to cut"
        tied = next((node for node in group.nodes if node in taken), None)
        if tied is not None and not any(map(is_addition, group.reader.users)):
            options, reason = {}, f"{label(tied)} makes or reads channels that another site cuts"
        return Place(group.nodes, [_Share(str(share), share) for share in options], reason)

    def apply(self, block: fx.GraphModule, site: Site, option: Option) -> bool:
        assert isinstance(option, _Share)
        node = find(block, site.nodes[0])
        group = "" if node is None else group_from(block, node)
        if isinstance(group, str) or group.reader.name != site.nodes[-1] or not self.mine(block, group):
            return False
        width = widths(made_by(layer(block, group.maker))).get(option.share)
        if width is None:
            return False
        cut(block, group, width)
        return True


def is_reducer(graph_module: fx.GraphModule, group: Channels) -> bool:
    """Whether a 1x1 convolution makes the channels for a larger one, with an activation between."""
    maker, reader = layer(graph_module, group.maker), layer(graph_module, group.reader)
    return (
        all(isinstance(layer(graph_module, node), (nn.ReLU, nn.ReLU6)) for node in group.between)
        and isinstance(maker, nn.Conv2d)
        and isinstance(reader, nn.Conv2d)
        and maker.kernel_size == (1, 1)
        and reader.kernel_size != (1, 1)
    )


def _makes_factors(graph_module: fx.GraphModule, group: Channels) -> bool:
    """Whether the channels are those inside a gate, which has a rule of its own."""
    node = group.reader
    while len(node.users) == 1:
        node = next(iter(node.users))
        if not isinstance(layer(graph_module, node), CHANNELWISE):
            return is_product(node)
    return False


RULE = Width()
