"""Closed form: least squares for a rebuilt block's last convolutions, before any descent."""

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor, fx, nn

from merges.algebra import ridge
from merges.geometry import POOLS
from merges.graph import (
    ACTIVATIONS,
    TO_FIRST,
    before_activation,
    bypass,
    concatenated,
    is_addition,
    is_permutation,
    layer,
    tidy,
)
from training.blocks.task import BlockTask, Recipe
from training.metrics import outputs_of

_PENALTY = 0.03
_LEAST_GAIN = 1e-3
_FOR_GAINS = 256


@torch.no_grad()
def closed_form(student: fx.GraphModule, task: BlockTask, recipe: Recipe, generator: torch.Generator) -> None:
    """Fit the last convolutions to the teacher's output before its activation, by ridge regression.

    What shortcuts add is subtracted first; a pooling that ends both blocks is left out.
    """
    below, teacher = _without_last_pooling(student, task.teacher)
    ends = list(_linear_ends(below))
    if not ends:
        last = layer(student, _answer(student))
        if isinstance(last, nn.Linear):
            features = _value_of(student, _answer(student).all_input_nodes[0], task.inputs)
            answers = task.targets.float().flatten(0, -2)
            _set(last, *ridge(features.flatten(0, -2), answers, _PENALTY))
        else:
            _rescale(student, task)
        return
    teacher = _without_last_activation(teacher)
    height, width = task.targets.shape[2:]
    samples = [recipe.samples_per_weight * module.weight[0].numel() for _, module, _ in ends]
    images = [max(8, -(-wanted // (height * width))) for wanted in samples]
    order = torch.randperm(len(task.inputs), generator=generator)[: max(images)]
    targets = outputs_of(teacher, task.teacher_inputs[order])
    for shortcut in _shortcuts(node for node, _, _ in ends):
        targets = targets - _value_of(below, shortcut, task.inputs[order])
    targets = targets.permute(0, 2, 3, 1).flatten(0, 2)
    for (node, module, first), wanted, count in zip(ends, samples, images, strict=True):
        source = _before_layout(node).all_input_nodes[0]
        features = _columns(_value_of(below, source, task.inputs[order[:count]]), module)
        rows = torch.randperm(len(features), generator=generator)[: max(wanted, 1024)]
        maps = slice(first, first + len(module.weight))
        _set(module, *ridge(features[rows], targets[rows, maps], _PENALTY))


def _set(module: nn.Conv2d | nn.Linear, weight: Tensor, bias: Tensor) -> None:
    module.weight.copy_(weight.reshape(module.weight.shape))
    if module.bias is not None:
        module.bias.copy_(bias)


def _rescale(student: fx.GraphModule, task: BlockTask) -> None:
    """Least squares of one gain a channel, where only activation and pooling follow the last convolution.

    Both let a positive factor through, so the gain goes into the convolution (a dropped norm had made
    its outputs smaller by as much).
    """
    node = _answer(student)
    while isinstance(layer(student, node), (nn.ReLU, nn.MaxPool2d, nn.AvgPool2d)) and len(node.users) == 1:
        node = node.all_input_nodes[0]
    conv = layer(student, node)
    if not isinstance(conv, nn.Conv2d) or len(node.users) > 1:
        return
    made, targets = outputs_of(student, task.inputs[:_FOR_GAINS]), task.targets[:_FOR_GAINS].float()
    gain = (made * targets).sum(dim=(0, 2, 3)) / made.square().sum(dim=(0, 2, 3)).clamp_min(1e-12)
    gain = gain.clamp_min(_LEAST_GAIN)
    conv.weight.mul_(gain.reshape(-1, 1, 1, 1))
    if conv.bias is not None:
        conv.bias.mul_(gain)


def _linear_ends(block: fx.GraphModule) -> Iterator[tuple[fx.Node, nn.Conv2d | nn.Linear, int]]:
    """Ungrouped convolutions that only an activation and a concatenation or sum part from the block's output.

    Or linear layers over channels that are then brought to the front. Yields the node that makes the maps,
    the layer and the number of its first channel in the output.
    """
    end = before_activation(block, _answer(block))
    first = 0
    parts = concatenated(end) or _summand(block, end) or [end]
    for part in parts if len(set(parts)) == len(parts) else ():
        node = before_activation(block, part)
        module = _linear(block, node)
        if module and getattr(module, "groups", 1) == 1 and len(node.users) == 1:
            yield node, module, first
        first += part.meta["shape"][1]


def _summand(block: fx.GraphModule, end: fx.Node) -> list[fx.Node]:
    """Of a sum, the end of a rebuilt branch: a convolution, or a linear layer over channels."""
    if not is_addition(end):
        return []
    return [node for node in end.all_input_nodes if _linear(block, node)][-1:]


def _linear(block: fx.GraphModule, node: fx.Node) -> nn.Conv2d | nn.Linear | None:
    """The convolution that makes maps, or the linear layer whose channels are then brought to the front."""
    source = _before_layout(node)
    module = layer(block, source)
    return module if isinstance(module, nn.Conv2d if source is node else nn.Linear) else None


def _before_layout(node: fx.Node) -> fx.Node:
    """What a change of layout that brings channels to the front alone reads, or the node."""
    moved = is_permutation(node, TO_FIRST) and len(node.all_input_nodes[0].users) == 1
    return node.all_input_nodes[0] if moved else node


def _shortcuts(ends: Iterable[fx.Node]) -> list[fx.Node]:
    """What is added to the ends before the block's output."""
    sums = ((end, reader) for end in ends for reader in end.users if is_addition(reader))
    return [other for end, reader in sums for other in reader.all_input_nodes if other is not end]


def _without_last_activation(teacher: fx.GraphModule) -> fx.GraphModule:
    """The teacher's block before its last activations (those that no convolution follows)."""
    graph = fx.Graph()
    graph.output(graph.graph_copy(teacher.graph, {}))
    linear = fx.GraphModule(teacher, graph)
    waiting = [_answer(linear)]
    while waiting:
        node = waiting.pop()
        module = layer(linear, node)
        if isinstance(module, (nn.Conv2d, nn.Linear)) or node.op == "placeholder" or len(node.users) > 1:
            continue
        waiting += node.all_input_nodes
        if isinstance(module, ACTIVATIONS):
            bypass(linear, node)
    tidy(linear)
    return linear


def _without_last_pooling(
    student: fx.GraphModule, teacher: fx.GraphModule
) -> tuple[fx.GraphModule, fx.GraphModule]:
    """Both blocks before the pooling of the teacher's concatenation that ends both; else as they are."""
    pools = [_answer(block) for block in (student, teacher)]
    layers = [layer(block, pool) for block, pool in zip((student, teacher), pools, strict=True)]
    alike = isinstance(layers[0], POOLS) and repr(layers[0]) == repr(layers[1])
    if not alike or not concatenated(pools[1].all_input_nodes[0]):
        return student, teacher
    return _upto(student, pools[0].all_input_nodes[0]), _upto(teacher, pools[1].all_input_nodes[0])


def _answer(block: fx.GraphModule) -> fx.Node:
    """The node whose value a block gives."""
    return next(node for node in block.graph.nodes if node.op == "output").all_input_nodes[0]


def _value_of(block: fx.GraphModule, wanted: fx.Node, inputs: Tensor) -> Tensor:
    """What a node of the block gives."""
    return outputs_of(_upto(block, wanted), inputs)


def _upto(block: fx.GraphModule, wanted: fx.Node) -> fx.GraphModule:
    """The part of a block that makes one node's value; it shares the block's layers."""
    graph = fx.Graph()
    copies: dict[fx.Node, fx.Node] = {}
    for source in block.graph.nodes:
        copies[source] = graph.node_copy(source, lambda n: copies[n])
        if source is wanted:
            break
    graph.output(copies[wanted])
    below = fx.GraphModule(block, graph)
    tidy(below)
    return below


def _columns(maps: Tensor, module: nn.Conv2d | nn.Linear) -> Tensor:
    """What each pixel of the answers is made of: (pixels of all images, taps), ordered (n, height, width)."""
    if isinstance(module, nn.Linear):
        return maps.flatten(0, -2)
    columns = nn.functional.unfold(maps, module.kernel_size, module.dilation, module.padding, module.stride)  # type: ignore[arg-type]
    return columns.transpose(1, 2).flatten(0, 1)
