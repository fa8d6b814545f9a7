"""Channels that live between the layer that makes them and the layer that reads them, and how to cut them."""

import operator
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, fx, nn

from merges.graph import label, layer

CHANNELWISE = (  # what gives every channel from that channel alone, without weights
    *(nn.ReLU, nn.ReLU6, nn.SiLU, nn.GELU, nn.Hardswish, nn.Mish, nn.ELU, nn.LeakyReLU, nn.Sigmoid),
    *(nn.Hardsigmoid, nn.Tanh, nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d),
)
_FRACTIONS = (0.75, 0.5, 0.25)
_MULTIPLE = 4


@dataclass(frozen=True)
class Channels:
    """A group of channels in a graph.

    Attributes
    ----------
    maker, reader : the layer that makes them, and the layer that ends the group
    between : what gives every channel from that channel alone, in order
    keepers : those of them with weights for every channel (depthwise convolutions)
    gates : pairs of layers that read the channels and make a factor for each (squeeze-and-excitation)
    """

    maker: fx.Node
    reader: fx.Node
    between: tuple[fx.Node, ...]
    keepers: tuple[fx.Node, ...]
    gates: tuple[tuple[fx.Node, fx.Node], ...]

    @property
    def nodes(self) -> tuple[fx.Node, ...]:
        """All of them, the maker first and the reader last."""
        inside = {*self.between, *(end for gate in self.gates for end in gate)}
        return self.maker, *sorted(inside), self.reader


def made_by(module: nn.Module | None) -> int:
    """How many channels a layer makes from all of its input; 0 for other layers."""
    if isinstance(module, nn.Conv2d) and module.groups == 1:
        return module.out_channels
    return module.out_features if isinstance(module, nn.Linear) else 0


def _read_by(module: nn.Module | None) -> int:
    if isinstance(module, nn.Conv2d) and module.groups == 1:
        return module.in_channels
    return module.in_features if isinstance(module, nn.Linear) else 0


def is_depthwise(module: nn.Module | None) -> bool:
    """Whether a layer convolves every channel alone, into one."""
    return isinstance(module, nn.Conv2d) and 1 < module.groups == module.in_channels == module.out_channels


def is_product(node: fx.Node) -> bool:
    """Whether a node multiplies two tensors that depend on the image."""
    inputs = node.all_input_nodes
    return (
        node.target in (torch.mul, operator.mul)
        and len(inputs) == 2
        and all(n.op != "get_attr" for n in inputs)
    )


def group_from(graph_module: fx.GraphModule, maker: fx.Node) -> Channels | str:
    """The group of channels that a layer makes; or why they cannot be cut, empty where there is none."""
    walk = _Walk(graph_module, maker)
    for node in _after(graph_module, maker) if walk.count else ():
        if node > walk.last:
            break
        if not walk.takes(node):
            return f"{label(node)} reads its channels too" if walk.readers else ""
    if not any(isinstance(layer(graph_module, node), CHANNELWISE) for node in walk.between):
        return ""  # linear layers alone are one
    ends = [reader for reader in walk.readers if reader not in {first for first, _ in walk.gates}]
    if len(ends) != 1:
        return f"several layers read its channels: {', '.join(map(label, ends))}" if ends else ""
    return Channels(maker, ends[0], tuple(walk.between), tuple(walk.keepers), tuple(walk.gates))


def _after(graph_module: fx.GraphModule, maker: fx.Node) -> Iterator[fx.Node]:
    nodes = iter(graph_module.graph.nodes)
    for node in nodes:
        if node is maker:
            break
    yield from nodes


class _Walk:
    """Follows a group of channels through the nodes behind their maker, in order."""

    def __init__(self, graph_module: fx.GraphModule, maker: fx.Node) -> None:
        self.graph_module, self.maker = graph_module, maker
        self.count = made_by(layer(graph_module, maker))
        self.between: list[fx.Node] = []
        self.keepers: list[fx.Node] = []
        self.readers: list[fx.Node] = []
        self.gates: list[tuple[fx.Node, fx.Node]] = []
        self.last = max(maker.users, default=maker)  # of what reads the channels, or vectors made of them
        self._squeezed: dict[fx.Node, fx.Node] = {}  # vectors made of the channels, and what read them

    def takes(self, node: fx.Node) -> bool:
        """Follow the channels through a node; False where they leave the group there."""
        taken = self._takes(node)
        if node in self.between or node in self._squeezed:
            self.last = max(self.last, *node.users)
        return taken

    def _takes(self, node: fx.Node) -> bool:
        module, inputs = layer(self.graph_module, node), node.all_input_nodes
        inside = [source for source in inputs if source is self.maker or source in self.between]
        squeezed = [source for source in inputs if source in self._squeezed]
        if not inside:
            if len(inputs) == 1 and squeezed and (isinstance(module, CHANNELWISE) or made_by(module)):
                self._squeezed[node] = self._squeezed[squeezed[0]]
            return True
        if len(inputs) == 1 and _read_by(module) == self.count:
            self.readers.append(node)
            if len(node.meta["shape"]) == 2 or node.meta["shape"][2:] == (1, 1):
                self._squeezed[node] = node
            return True
        if is_product(node) and len(inside) == len(squeezed) == 1:
            return self._closes(node, squeezed[0])
        flat = node.target is torch.flatten and node.meta["shape"] == (1, self.count)
        if len(inputs) > 1 or not (isinstance(module, CHANNELWISE) or is_depthwise(module) or flat):
            return False
        self.between.append(node)
        self.keepers += [node] if is_depthwise(module) else []
        return True

    def _closes(self, product: fx.Node, factor: fx.Node) -> bool:
        """A gate: factors for every channel, made of vectors that a reader has made."""
        first, last = self._squeezed[factor], factor
        while isinstance(layer(self.graph_module, last), CHANNELWISE) and len(last.users) == 1:
            last = last.all_input_nodes[0]
        if made_by(layer(self.graph_module, last)) != self.count or len(last.users) != 1 or last is first:
            return False
        self.gates.append((first, last))
        self.between.append(product)
        return True


def effects(graph_module: fx.GraphModule, group: Channels) -> Tensor:
    """How much each channel does: how lively it is on real images, times how strongly it is read.

    DropNet (Tan and Motani 2020); where no image was seen, the norm of its weights stands for its liveliness.
    """
    maker, reader = layer(graph_module, group.maker), layer(graph_module, group.reader)
    assert isinstance(maker, (nn.Conv2d, nn.Linear))
    assert isinstance(reader, (nn.Conv2d, nn.Linear))
    energy = group.reader.all_input_nodes[0].meta.get("energy")
    made = maker.weight.detach().flatten(1).norm(dim=1)
    # Energies are by the second dimension, of the layers as the teacher has them.
    if energy is not None and isinstance(reader, nn.Conv2d) and len(energy) == len(made):
        made = energy.sqrt()
    return made * reader.weight.detach().transpose(0, 1).flatten(1).norm(dim=1)


def cut(graph_module: fx.GraphModule, group: Channels, width: int) -> None:
    """Keep only the channels with the largest effects, in place."""
    maker = layer(graph_module, group.maker)
    assert isinstance(maker, (nn.Conv2d, nn.Linear))
    if maker.weight.is_meta:  # an outline has sizes alone
        kept = torch.arange(width)
    else:
        kept = torch.topk(effects(graph_module, group), width).indices.sort().values
    for node in (group.maker, *(last for _, last in group.gates)):
        keep_outputs(layer(graph_module, node), kept)
    for node in group.keepers:
        keep_depthwise(layer(graph_module, node), kept)
    for node in (group.reader, *(first for first, _ in group.gates)):
        keep_inputs(layer(graph_module, node), kept)


def keep_outputs(module: nn.Module | None, kept: Tensor) -> None:
    """Keep only these outputs of a convolution or fully connected layer, in this order, in place."""
    assert isinstance(module, (nn.Conv2d, nn.Linear))
    module.weight = nn.Parameter(module.weight.detach()[kept])
    if module.bias is not None:
        module.bias = nn.Parameter(module.bias.detach()[kept])
    setattr(module, "out_features" if isinstance(module, nn.Linear) else "out_channels", len(kept))


def keep_inputs(module: nn.Module | None, kept: Tensor) -> None:
    """Keep only these inputs of a convolution or fully connected layer, in this order, in place."""
    assert isinstance(module, (nn.Conv2d, nn.Linear))
    module.weight = nn.Parameter(module.weight.detach()[:, kept])
    setattr(module, "in_features" if isinstance(module, nn.Linear) else "in_channels", len(kept))


def keep_depthwise(module: nn.Module | None, kept: Tensor) -> None:
    """Keep only these channels of a depthwise convolution, in this order, in place."""
    assert isinstance(module, nn.Conv2d)
    keep_outputs(module, kept)
    module.in_channels = module.groups = len(kept)


def widths(channels: int) -> dict[float, int]:
    """Shares and the channels that each leaves, as ``{0.5: 48}`` for 96: multiples of 4, to fill vectors."""
    cuts = {f: max(_MULTIPLE, round(channels * f / _MULTIPLE) * _MULTIPLE) for f in _FRACTIONS}
    return {
        f: width
        for f, width in cuts.items()
        if width < channels and width not in [w for g, w in cuts.items() if g > f]
    }
