"""Cut channels of a 1x1 reducer and of the convolution that reads it (learned).

Before      x -> Conv2d 1x1 (c maps) -> activation -> Conv2d k x k -> y
After       x -> Conv2d 1x1 (f c maps) -> activation -> Conv2d k x k -> y
Conditions  both convolutions called once and ungrouped; nothing else reads the reduced maps
Formula     branch merging, DeepRebirth section 3.2 (the reducers are slimmed). Kept are the channels with
            the largest effect on the reader: how strongly they are active on real images (DropNet, Tan and
            Motani 2020), or the norm of their weights where none were seen, times the norm of the
            weights that read them. Widths are multiples of 4, which vector units fill
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import fx, nn

from merges.graph import find, label, layer, tidy
from merges.rule import MergeRule, Option, Place, Site

_FRACTIONS = (0.75, 0.5, 0.25)
_MULTIPLE = 4


@dataclass(frozen=True)
class _Width(Option):
    """`share` of the channels that stay."""

    share: float


class Reducer(MergeRule):
    name = "reducer"

    def places(self, graph_module: fx.GraphModule) -> Iterator[Place]:
        for node in graph_module.graph.nodes:
            conv = layer(graph_module, node)
            if not (isinstance(conv, nn.Conv2d) and _pointwise(conv)):
                continue
            path = self._path(graph_module, node)
            if path is None:
                yield from self._refused(graph_module, node)
                continue
            consumer = layer(graph_module, path[-1])
            assert isinstance(consumer, nn.Conv2d)
            options = [_Width(str(share), share) for share in _widths(conv.out_channels)]
            reason = f"{conv.out_channels} channels are too few to cut"
            if conv.groups > 1 or consumer.groups > 1:
                options, reason = [], "a grouped convolution ties its channels together"
            yield Place((path[0], path[-1]), options, reason)

    def _path(self, graph_module: fx.GraphModule, conv: fx.Node) -> list[fx.Node] | None:
        """The reducer, its activation and its reader; None where this is no reducer."""
        path = [conv]
        while len(path[-1].users) == 1:
            node = next(iter(path[-1].users))
            module = layer(graph_module, node)
            if isinstance(module, nn.Conv2d):
                return None if _pointwise(module) else [*path, node]
            if not isinstance(module, (nn.ReLU, nn.ReLU6)):
                return None
            path.append(node)
        return None

    def _refused(self, graph_module: fx.GraphModule, conv: fx.Node) -> Iterator[Place]:
        """A refusal where several convolutions read the reduced maps (a fire module's squeeze)."""
        node = next(iter(conv.users)) if len(conv.users) == 1 else conv
        readers = [user for user in node.users if isinstance(layer(graph_module, user), nn.Conv2d)]
        if len(readers) > 1 and node.all_input_nodes == [conv]:
            names = ", ".join(label(reader) for reader in readers)
            yield Place((conv,), [], f"several layers read its maps: {names}")

    def apply(self, block: fx.GraphModule, site: Site, option: Option) -> bool:
        assert isinstance(option, _Width)
        node = find(block, site.nodes[0])
        reducer = None if node is None else layer(block, node)
        path = self._path(block, node) if node is not None and isinstance(reducer, nn.Conv2d) else None
        if path is None or path[-1].name != site.nodes[1] or not isinstance(reducer, nn.Conv2d):
            return False
        reader, width = layer(block, path[-1]), _widths(reducer.out_channels).get(option.share)
        assert isinstance(reader, nn.Conv2d)
        if width is None:
            return False
        energy = path[-2].meta.get("energy")
        made = reducer.weight.detach().flatten(1).norm(dim=1) if energy is None else energy.sqrt()
        effect = made * reader.weight.detach().transpose(0, 1).flatten(1).norm(dim=1)
        kept = torch.topk(effect, width).indices.sort().values
        reducer.weight = nn.Parameter(reducer.weight.detach()[kept])
        if reducer.bias is not None:
            reducer.bias = nn.Parameter(reducer.bias.detach()[kept])
        reader.weight = nn.Parameter(reader.weight.detach()[:, kept])
        reducer.out_channels = reader.in_channels = width
        tidy(block)
        return True


def _widths(channels: int) -> dict[float, int]:
    """Shares and the channels that each leaves, e.g. ``{0.5: 48}`` for 96."""
    cut = {f: max(_MULTIPLE, round(channels * f / _MULTIPLE) * _MULTIPLE) for f in _FRACTIONS}
    return {
        f: width
        for f, width in cut.items()
        if width < channels and width not in [w for g, w in cut.items() if g > f]
    }


def _pointwise(conv: nn.Conv2d) -> bool:
    return conv.kernel_size == (1, 1)


RULE = Reducer()
