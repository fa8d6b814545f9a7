"""Full fine-tuning of a merged network towards its teacher, epoch by epoch, resumable."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from training.errors import BadInputError
from training.files import replacing
from training.finetune import Progress, distillation
from training.optim import batches, cosine, relative_adam


@dataclass(frozen=True)
class Fit:
    """How the whole network is fine-tuned; `rate` is relative to each tensor's own size."""

    epochs: int
    batch: int = 32
    rate: float = 5e-4
    seed: int = 0


def fit(
    merged: nn.Module,
    images: Callable[[Tensor], Tensor],
    teacher_logits: Tensor,
    how: Fit,
    checkpoint: Path,
    progress: Progress,
) -> list[float]:
    """Fine-tune in place and return the mean loss of every epoch.

    A checkpoint is written after every epoch, in one step; a run that finds one goes on behind it and
    ends with the weights of an undisturbed run.

    Raises
    ------
    BadInputError
        The checkpoint is damaged or belongs to a run with other settings.
    """
    optimiser = relative_adam(merged, how.rate)
    a_pass = max(1, len(teacher_logits) // min(how.batch, len(teacher_logits)))
    total = how.epochs * a_pass
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda s: cosine(s, total, total // 20))
    losses = _resume(checkpoint, merged, optimiser, schedule, how)
    for epoch in range(len(losses), how.epochs):
        merged.train()
        generator = torch.Generator().manual_seed(how.seed * 100_003 + epoch)
        torch.manual_seed(how.seed * 100_003 + epoch)  # dropout
        seen: list[float] = []
        for step, index in zip(
            range(a_pass), batches(len(teacher_logits), how.batch, generator), strict=False
        ):
            loss = distillation(merged(images(index)), teacher_logits[index])
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
            schedule.step()
            seen.append(float(loss.detach()))
            progress(epoch * a_pass + step + 1, total)
        losses.append(sum(seen) / len(seen))
        _save(checkpoint, merged, optimiser, schedule, losses, how)
    merged.eval()
    return losses


def _save(
    checkpoint: Path,
    merged: nn.Module,
    optimiser: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LambdaLR,
    losses: list[float],
    how: Fit,
) -> None:
    state: dict[str, Any] = {
        "model": merged.state_dict(),
        "optimiser": optimiser.state_dict(),
        "schedule": {"last_epoch": schedule.last_epoch},
        "losses": losses,
        "fit": json.dumps(asdict(how)),
    }
    with replacing(checkpoint) as temporary:
        torch.save(state, temporary)


def _resume(
    checkpoint: Path,
    merged: nn.Module,
    optimiser: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LambdaLR,
    how: Fit,
) -> list[float]:
    """Load the last checkpoint; the losses of the epochs that are done (none without one)."""
    if not checkpoint.exists():
        return []
    try:
        state = torch.load(checkpoint, weights_only=True)
    except Exception as error:
        raise BadInputError(
            f"checkpoint {checkpoint} is damaged ({error}); remove it to start again"
        ) from error
    if state["fit"] != json.dumps(asdict(how)):
        raise BadInputError(
            f"checkpoint {checkpoint} was made with {state['fit']}, not {json.dumps(asdict(how))}; "
            "give the same settings to continue, or another --out"
        )
    merged.load_state_dict(state["model"])
    optimiser.load_state_dict(state["optimiser"])
    schedule.last_epoch = state["schedule"]["last_epoch"]
    return list(state["losses"])
