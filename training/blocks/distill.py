"""Learns one rebuilt block from its teacher's block: in closed form, then by a short descent."""

from contextlib import suppress

import torch
from torch import Tensor, fx, nn

from training.blocks.closed_form import closed_form
from training.blocks.task import BlockTask, Recipe
from training.errors import DivergedError
from training.metrics import outputs_of
from training.optim import Descent, descend

_HELD_OUT, _MOST_HELD_OUT = 0.2, 128
_FOR_SPREAD = 128


def error_of(student: nn.Module, inputs: Tensor, targets: Tensor) -> float:
    """Normalised error: squared distance over each target channel's variance (a constant has 1).

    Maps are (n, channels, height, width), vectors (n, channels).
    """
    targets = targets.float()
    spread = (targets - targets.mean(dim=(0, 2, 3)[: targets.ndim - 1], keepdim=True)).square().mean()
    return float((outputs_of(student, inputs) - targets).square().mean() / spread.clamp_min(1e-12))


def learn_block(student: fx.GraphModule, task: BlockTask, recipe: Recipe) -> list[float]:
    """Learn a block in place; returns its held-out error at the start, after each stage and at the end.

    A stage that diverges or increases the held-out error is undone, so the last value is the lowest.
    """
    held_out = max(1, min(round(len(task.inputs) * _HELD_OUT), _MOST_HELD_OUT))
    inputs, targets = task.inputs[held_out:], task.targets[held_out:]
    generator = torch.Generator().manual_seed(recipe.seed)

    def error() -> float:
        return error_of(student, task.inputs[:held_out], task.targets[:held_out])

    curve = [error()]
    for stage in (closed_form, _descent):
        before = {name: value.clone() for name, value in student.state_dict().items()}
        part = BlockTask(inputs, task.teacher_inputs[held_out:], targets, task.teacher)
        with suppress(DivergedError):
            stage(student, part, recipe, generator)
        reached = error()
        if not reached < curve[-1]:
            student.load_state_dict(before)
            reached = curve[-1]
        curve.append(reached)
    return curve


def _descent(student: fx.GraphModule, task: BlockTask, recipe: Recipe, generator: torch.Generator) -> None:
    spread = task.targets[:_FOR_SPREAD].float().var().clamp_min(1e-12)

    def loss(index: Tensor) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16, enabled=recipe.half):
            answers = student(task.inputs[index])
        return (answers.float() - task.targets[index]).square().mean() / spread

    how = Descent(recipe.steps, recipe.batch, recipe.rate)
    descend(student, loss, len(task.inputs), how, generator)
