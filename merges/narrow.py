"""A whole network with fewer channels: what no site can do, since a block keeps what others read of it.

Channels are followed from the layers that make them to those that read them, through concatenations,
additions and all that gives each channel from itself. Channels that are added to each other, or multiplied,
stay or go together (Liu et al. 2021, Fang et al. 2023). Those that reach an answer, or anything that is not
known here, all stay.
"""

import math
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

import torch
from torch import Tensor, fx, nn

from merges.channels import (
    CHANNELWISE,
    is_depthwise,
    keep_depthwise,
    keep_inputs,
    keep_outputs,
    made_by,
)
from merges.functions import cut
from merges.graph import concatenated, layer, propagate_shapes, shared_layers, tidy

_MULTIPLE = 8  # fills vectors, and blocks of channels
_PASSING = (
    *CHANNELWISE,
    *(nn.AdaptiveMaxPool2d, nn.BatchNorm2d, nn.Dropout, nn.Identity, nn.LocalResponseNorm, nn.Upsample),
)
_TYING = (torch.add, torch.sub, torch.mul, torch.div)
_Segment = tuple[int, int, int]  # a group, how many channels it has, and values of each side by side
_Layout = tuple[_Segment, ...]


@dataclass
class Groups:
    """Groups of channels that stay or go together.

    Attributes
    ----------
    layouts : the groups of a node's channels, in order
    makers, readers, keepers : layers that make channels, read all of them, or have weights for each
    fixed : groups of which every channel stays
    """

    layouts: dict[fx.Node, _Layout] = field(default_factory=dict)
    makers: dict[fx.Node, int] = field(default_factory=dict)
    readers: list[fx.Node] = field(default_factory=list)
    keepers: list[fx.Node] = field(default_factory=list)
    fixed: set[int] = field(default_factory=set)
    _same: dict[int, int] = field(default_factory=dict)

    @classmethod
    def of(cls, graph_module: fx.GraphModule) -> "Groups":
        """The groups of a network; node shapes are in ``node.meta["shape"]``."""
        groups, shared = cls(), shared_layers(graph_module)
        for node in graph_module.graph.nodes:
            groups._follow(graph_module, node, node.name in shared)
        return groups

    def root(self, group: int) -> int:
        """The group that stands for all that a group is tied to."""
        while (next_ := self._same[group]) != group:
            group = next_
        return group

    def widths(self, share: float) -> dict[int, int]:
        """How many channels every group keeps that is not fixed: a multiple of 8, where that is nearer."""
        fixed = {self.root(group) for group in self.fixed}
        counts = {self.root(group): count for layout in self.layouts.values() for group, count, _ in layout}
        kept = {group: _nearest(share * n, n) for group, n in counts.items()}
        return {group: n for group, n in kept.items() if group not in fixed and n < counts[group]}

    def _new(self, node: fx.Node, fixed: bool) -> None:
        shape = node.meta.get("shape")
        count = shape[1] if shape and len(shape) > 1 else 1
        group = len(self._same)
        self._same[group] = group
        self.layouts[node] = ((group, count, 1),)
        if fixed:
            self.fixed.add(group)

    def _fix(self, nodes: Iterable[fx.Node]) -> None:
        self.fixed |= {group for node in nodes for group, *_ in self.layouts.get(node, ())}

    def _follow(self, graph_module: fx.GraphModule, node: fx.Node, shared: bool) -> None:
        """Give a node its layout."""
        inputs, module = node.all_input_nodes, layer(graph_module, node)
        maps = [source for source in inputs if not _is_number(graph_module, source)]
        if made_by(module) and not shared and _by_channel(node, 2 if isinstance(module, nn.Linear) else 4):
            self.readers.append(node)
            self._new(node, fixed=False)
            self.makers[node] = self.layouts[node][0][0]
        elif (_passes(node, module) or is_depthwise(module)) and not shared:
            self.layouts[node] = self.layouts[inputs[0]]
            self.keepers += [node] if isinstance(module, (nn.Conv2d, nn.BatchNorm2d)) else []
        elif _flattens(node):
            each = math.prod(inputs[0].meta["shape"][2:])
            self.layouts[node] = tuple((g, count, each * n) for g, count, n in self.layouts[inputs[0]])
        elif (parts := concatenated(node)) and node.meta["shape"] and len(node.meta["shape"]) > 1:
            self.layouts[node] = tuple(segment for part in parts for segment in self.layouts[part])
        elif node.target in _TYING and _alike(maps):
            self.layouts[node] = self.layouts[maps[0]]
            self._tie(*(self.layouts[source] for source in maps[:2]) if len(maps) > 1 else ((), ()))
        else:
            self._fix(inputs)
            self._new(node, fixed=True)

    def _tie(self, one: _Layout, other: _Layout) -> None:
        """Let channels at the same places stay or go together."""
        if [sizes for _, *sizes in one] != [sizes for _, *sizes in other]:
            self.fixed |= {group for group, *_ in (*one, *other)}
            return
        for (first, *_), (second, *_) in zip(one, other, strict=True):
            self._same[self.root(first)] = self.root(second)


def _nearest(wanted: float, all_: int) -> int:
    """The multiple of 8 that is nearest to a width; all channels, where these are nearer."""
    multiple = max(_MULTIPLE, _MULTIPLE * round(wanted / _MULTIPLE))
    return min(all_, multiple, key=lambda width: abs(width - wanted))


def _by_channel(node: fx.Node, *sides: int) -> bool:
    """Whether a node gives vectors (2 sides) or maps (4): its second dimension counts channels."""
    return len(node.meta.get("shape") or ()) in (sides or (2, 4))


def _passes(node: fx.Node, module: nn.Module | None) -> bool:
    """Whether a node gives every channel from that channel."""
    if not all(map(_by_channel, (node, *node.all_input_nodes))):
        return False
    along = node.target is cut and node.args[1] in (2, 3)
    around = node.target is nn.functional.pad and len(node.args[1]) <= 4  # type: ignore[arg-type]
    return along or around or isinstance(module, _PASSING)


def _is_number(graph_module: fx.GraphModule, node: fx.Node) -> bool:
    """Whether a node is one constant number."""
    return node.op == "get_attr" and getattr(graph_module, str(node.target)).numel() == 1


def _flattens(node: fx.Node) -> bool:
    """Whether a node gives the values of all maps side by side."""
    return node.target is torch.flatten and _by_channel(node.all_input_nodes[0], 4) and _by_channel(node, 2)


def _alike(maps: list[fx.Node]) -> bool:
    """Whether nodes that depend on the image have the same number of channels, channel by channel."""
    if not maps or any(node.op == "get_attr" or not _by_channel(node) for node in maps):
        return False
    return len({(len(node.meta["shape"]), node.meta["shape"][1]) for node in maps}) == 1


def narrow(graph_module: fx.GraphModule, share: float) -> bool:
    """Keep about this share of the channels wherever that is possible, in place; False where it nowhere is.

    Those stay that are made and read most strongly (the norms of their weights). What is left has to be
    learned again.

    Parameters
    ----------
    share : more than 0, at most 1
    """
    groups = Groups.of(graph_module)
    if not groups.widths(share):
        return False
    kept = _kept(graph_module, groups, share)
    for node in groups.readers:
        keep_inputs(layer(graph_module, node), kept[node.all_input_nodes[0]])
    for node in groups.makers:
        keep_outputs(layer(graph_module, node), kept[node])
    for node in groups.keepers:
        _keep_channels(layer(graph_module, node), kept[node])
    images = next(node for node in graph_module.graph.nodes if node.op == "placeholder")
    tidy(graph_module)
    propagate_shapes(graph_module, images.meta["shape"])
    return True


def outputs_kept(graph_module: fx.GraphModule, share: float) -> dict[str, Tensor]:
    """By layer, which of its outputs `narrow` keeps."""
    kept = _kept(graph_module, Groups.of(graph_module), share)
    return {str(node.target): stay for node, stay in kept.items() if node.op == "call_module"}


def _kept(graph_module: fx.GraphModule, groups: Groups, share: float) -> dict[fx.Node, Tensor]:
    """Which channels of every node stay."""
    strengths = _strengths(graph_module, groups)
    strongest = {
        g: strengths[g].topk(width).indices.sort().values for g, width in groups.widths(share).items()
    }

    def of(layout: _Layout) -> Tensor:
        starts = torch.tensor([0, *_sizes(layout)]).cumsum(0)
        own = [
            strongest.get(groups.root(group), torch.arange(count))[:, None] * values + torch.arange(values)
            for group, count, values in layout
        ]
        return torch.cat([start + index.flatten() for start, index in zip(starts[:-1], own, strict=True)])

    return {node: of(layout) for node, layout in groups.layouts.items()}


def _strengths(graph_module: fx.GraphModule, groups: Groups) -> dict[int, Tensor]:
    """How strongly the channels of every group are made, times how strongly they are read."""
    made: dict[int, list[Tensor]] = defaultdict(list)
    read: dict[int, list[Tensor]] = defaultdict(list)
    for node, group in groups.makers.items():
        made[groups.root(group)].append(_norms(layer(graph_module, node), 0))
    for node in groups.readers:
        layout = groups.layouts[node.all_input_nodes[0]]
        parts = _norms(layer(graph_module, node), 1).split(_sizes(layout))
        for (group, count, values), norms in zip(layout, parts, strict=True):
            read[groups.root(group)].append(norms.reshape(count, values).norm(dim=1))
    return {group: _mean(norms) * _mean(read.get(group, [])) for group, norms in made.items()}


def _sizes(layout: _Layout) -> list[int]:
    """How many values every segment has."""
    return [count * values for _, count, values in layout]


def _norms(module: nn.Module | None, dim: int) -> Tensor:
    """The norm of the weights of every output (dim 0) or input (1), 1 in the mean."""
    assert isinstance(module, (nn.Conv2d, nn.Linear))
    norms = module.weight.detach().transpose(0, dim).flatten(1).norm(dim=1)
    return norms / norms.mean().clamp_min(1e-12)


def _mean(norms: list[Tensor]) -> Tensor:
    return torch.stack(norms).mean(0) if norms else torch.ones(())


def _keep_channels(module: nn.Module | None, kept: Tensor) -> None:
    """Keep only these channels of a layer that has weights for each."""
    if isinstance(module, nn.Conv2d):
        keep_depthwise(module, kept)
        return
    assert isinstance(module, nn.BatchNorm2d)
    module.num_features = len(kept)
    for name, values in (*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)):
        if values.ndim:
            own = values.detach()[kept]
            setattr(module, name, nn.Parameter(own) if isinstance(values, nn.Parameter) else own)
