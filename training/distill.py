"""Learn one rebuilt block against its teacher block: closed form first, then a short descent."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, fx, nn

from merges.algebra import ridge
from merges.graph import bypass, concatenated, layer, tidy
from training.optim import descend
from training.walk import outputs_of

_HELD_OUT = 0.2
_ACTIVATIONS = (nn.ReLU, nn.ReLU6)
_PENALTY = 0.03
_LEAST_GAIN = 1e-3


@dataclass(frozen=True)
class Recipe:
    """How a block is learned. `images` counts those that are looked at, `batch` those of a step."""

    images: int = 256
    steps: int = 60
    batch: int = 8
    rate: float = 0.05
    samples_per_weight: int = 16
    seed: int = 0


@dataclass(frozen=True)
class Lesson:
    """What a block shall learn.

    Attributes
    ----------
    inputs : what reaches the block, (n, channels, height, width)
    teacher_inputs : what reaches the teacher's block for the same images
    targets : what the teacher's block answers
    teacher : the teacher's block
    """

    inputs: Tensor
    teacher_inputs: Tensor
    targets: Tensor
    teacher: fx.GraphModule


def error_of(student: nn.Module, inputs: Tensor, targets: Tensor) -> float:
    """Normalised error: squared distance over the targets' own variance a channel (1 is a constant)."""
    spread = (targets - targets.mean(dim=(0, 2, 3), keepdim=True)).square().mean()
    return float((outputs_of(student, inputs) - targets).square().mean() / spread.clamp_min(1e-12))


def learn_block(student: fx.GraphModule, lesson: Lesson, recipe: Recipe) -> list[float]:
    """Learn a block in place; its error on held-out images at the start, after each stage, at the end.

    A stage that makes the held-out error worse is undone, so that the last value is the least.
    """
    held_out = max(1, round(len(lesson.inputs) * _HELD_OUT))
    inputs, targets = lesson.inputs[held_out:], lesson.targets[held_out:]
    generator = torch.Generator().manual_seed(recipe.seed)

    def error() -> float:
        return error_of(student, lesson.inputs[:held_out], lesson.targets[:held_out])

    curve = [error()]
    for stage in (_closed_form, _descent):
        before = {name: value.clone() for name, value in student.state_dict().items()}
        stage(
            student,
            Lesson(inputs, lesson.teacher_inputs[held_out:], targets, lesson.teacher),
            recipe,
            generator,
        )
        reached = error()
        if not reached < curve[-1]:
            student.load_state_dict(before)
            reached = curve[-1]
        curve.append(reached)
    return curve


def _descent(student: fx.GraphModule, lesson: Lesson, recipe: Recipe, generator: torch.Generator) -> None:
    spread = lesson.targets.var().clamp_min(1e-12)

    def loss(index: Tensor) -> Tensor:
        return (student(lesson.inputs[index]) - lesson.targets[index]).square().mean() / spread

    descend(student, loss, len(lesson.inputs), recipe.steps, recipe.batch, recipe.rate, generator)


@torch.no_grad()
def _closed_form(student: fx.GraphModule, lesson: Lesson, recipe: Recipe, generator: torch.Generator) -> None:
    """Ridge least squares of the last convolutions on the teacher's output before its activation."""
    ends = list(_linear_ends(student))
    if not ends:
        _rescale(student, lesson)
        return
    teacher = _without_last_activation(lesson.teacher)
    height, width = lesson.targets.shape[2:]
    samples = [recipe.samples_per_weight * conv.weight[0].numel() for _, conv, _ in ends]
    images = [max(8, -(-wanted // (height * width))) for wanted in samples]
    order = torch.randperm(len(lesson.inputs), generator=generator)[: max(images)]
    targets = outputs_of(teacher, lesson.teacher_inputs[order]).permute(0, 2, 3, 1).flatten(0, 2)
    for (node, conv, first), wanted, count in zip(ends, samples, images, strict=True):
        features = _columns(_inputs_of(student, node, lesson.inputs[order[:count]]), conv)
        rows = torch.randperm(len(features), generator=generator)[: max(wanted, 1024)]
        maps = slice(first, first + conv.out_channels)
        weight, bias = ridge(features[rows], targets[rows, maps], _PENALTY)
        conv.weight.copy_(weight.reshape(conv.weight.shape))
        if conv.bias is not None:
            conv.bias.copy_(bias)


def _rescale(student: fx.GraphModule, lesson: Lesson) -> None:
    """Least squares of one gain a channel, where only activation and pooling follow the last convolution.

    Both let a positive factor through, so the gain goes into the convolution (a dropped norm had made
    its outputs smaller by as much).
    """
    node = next(n for n in student.graph.nodes if n.op == "output").all_input_nodes[0]
    while isinstance(layer(student, node), (nn.ReLU, nn.MaxPool2d, nn.AvgPool2d)) and len(node.users) == 1:
        node = node.all_input_nodes[0]
    conv = layer(student, node)
    if not isinstance(conv, nn.Conv2d) or len(node.users) > 1:
        return
    made = outputs_of(student, lesson.inputs)
    gain = (made * lesson.targets).sum(dim=(0, 2, 3)) / made.square().sum(dim=(0, 2, 3)).clamp_min(1e-12)
    gain = gain.clamp_min(_LEAST_GAIN)
    conv.weight.mul_(gain.reshape(-1, 1, 1, 1))
    if conv.bias is not None:
        conv.bias.mul_(gain)


def _linear_ends(block: fx.GraphModule) -> Iterator[tuple[fx.Node, nn.Conv2d, int]]:
    """Ungrouped convolutions that only an activation and a concatenation part from the block's output.

    Yields the node, its layer and the number of its first channel in the output.
    """
    end = next(n for n in block.graph.nodes if n.op == "output").all_input_nodes[0]
    if (
        isinstance(layer(block, end), _ACTIVATIONS)
        and len(end.users) == 1
        and concatenated(end.all_input_nodes[0])
    ):
        end = end.all_input_nodes[0]
    first = 0
    for part in concatenated(end) or [end]:
        node = part
        if isinstance(layer(block, node), _ACTIVATIONS) and len(node.users) == 1:
            node = node.all_input_nodes[0]
        conv = layer(block, node)
        if isinstance(conv, nn.Conv2d) and conv.groups == 1 and len(node.users) == 1:
            yield node, conv, first
        first += part.meta["shape"][1]


def _without_last_activation(teacher: fx.GraphModule) -> fx.GraphModule:
    """The teacher's block before its last activations (those that no convolution follows)."""
    graph = fx.Graph()
    graph.output(graph.graph_copy(teacher.graph, {}))
    linear = fx.GraphModule(teacher, graph)
    waiting = list(next(n for n in linear.graph.nodes if n.op == "output").all_input_nodes)
    while waiting:
        node = waiting.pop()
        module = layer(linear, node)
        if isinstance(module, (nn.Conv2d, nn.Linear)) or node.op == "placeholder":
            continue
        waiting += node.all_input_nodes
        if isinstance(module, _ACTIVATIONS):
            bypass(linear, node)
    tidy(linear)
    return linear


def _inputs_of(block: fx.GraphModule, node: fx.Node, inputs: Tensor) -> Tensor:
    """What a node of the block reads."""
    graph = fx.Graph()
    copies: dict[fx.Node, fx.Node] = {}
    for source in block.graph.nodes:
        if source is node:
            break
        copies[source] = graph.node_copy(source, lambda n: copies[n])
    graph.output(copies[node.all_input_nodes[0]])
    below = fx.GraphModule(block, graph)
    tidy(below)
    return outputs_of(below, inputs)


def _columns(maps: Tensor, conv: nn.Conv2d) -> Tensor:
    """im2col: (pixels of all images, taps), in the order of ``(n, height, width)``."""
    columns = nn.functional.unfold(maps, conv.kernel_size, conv.dilation, conv.padding, conv.stride)  # type: ignore[arg-type]
    return columns.transpose(1, 2).flatten(0, 1)
