"""Optimisers with steps relative to the size of each weight.

Weights behind inputs of 0-255 are a hundred times smaller than those behind normalised ones; one
absolute learning rate cannot serve both (Adam straight on raw images: normalised error 0.91).
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from training.finite import require_finite
from training.progress import Progress, quiet

_FLOOR = 1e-3


@dataclass(frozen=True)
class Descent:
    """A number of steps of `batch` images each; `rate` is relative to the size of each tensor."""

    steps: int
    batch: int
    rate: float


def half_pays(gpu: bool = False) -> bool:
    """Whether bfloat16 has hardware support (GoogLeNet, 224 pixels, CPU: 22 against 11 images/s)."""
    if gpu:
        return torch.cuda.is_bf16_supported()
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def relative_adam(model: nn.Module, rate: float) -> torch.optim.Adam:
    """Adam whose rate for a tensor is `rate` times the root mean square of its values.

    A bias moves as its layer's outputs do; it gets at least `_FLOOR` times the rate.
    """
    groups: list[dict[str, Any]] = []
    on_gpu = any(parameter.is_cuda for parameter in model.parameters())
    for parameter in filter(lambda weight: weight.requires_grad, model.parameters()):
        own = rate * max(float(parameter.detach().square().mean().sqrt()), _FLOOR)
        # A captured step reads its rates from the GPU.
        now = torch.tensor(own, device=parameter.device) if on_gpu else own
        groups.append({"params": [parameter], "lr": now, "initial_lr": own})
    return torch.optim.Adam(groups, fused=True, capturable=on_gpu)


def cosine(step: int, steps: int, warmup: int) -> float:
    """Factor of the learning rate: linear warm-up, then half a cosine down to zero."""
    if step < warmup:
        return (step + 1) / (warmup + 1)
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))


def batches(count: int, batch: int, generator: torch.Generator) -> Iterator[Tensor]:
    """Endless batches of indices; every image once before any repeats."""
    batch = min(batch, count)
    while True:
        order = torch.randperm(count, generator=generator)
        yield from (order[i : i + batch] for i in range(0, count - batch + 1, batch))


def descend(
    model: nn.Module,
    loss: Callable[[Tensor], Tensor],
    count: int,
    how: Descent,
    generator: torch.Generator,
    progress: Progress = quiet,
) -> None:
    """Minimise ``loss(indices of images)`` for a fixed number of steps, with warm-up and cosine decay.

    Raises
    ------
    DivergedError
        The loss is not finite.
    """
    steps = how.steps
    if steps == 0 or not any(weight.requires_grad for weight in model.parameters()):
        return
    with torch.enable_grad():
        optimiser = relative_adam(model, how.rate)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda s: cosine(s, steps, steps // 20))
        for step, index in zip(range(steps), batches(count, how.batch, generator), strict=False):
            optimiser.zero_grad(set_to_none=True)
            lost = loss(index)
            require_finite(lost, f"training diverged: the loss after {step} of {steps} steps")
            lost.backward()
            optimiser.step()
            schedule.step()
            progress(step + 1, steps)
