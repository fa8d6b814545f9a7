"""Full fine-tuning of a merged network towards its teacher, epoch by epoch, resumable."""

import json
from collections.abc import Callable, Collection
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from training.errors import BadInputError
from training.files import replacing
from training.finetune import Progress, distillation
from training.optim import batches, cosine, relative_adam
from training.taps import tapped


@dataclass(frozen=True)
class Fit:
    """How the whole network is fine-tuned.

    Attributes
    ----------
    rate : relative to each tensor's own size
    features : weight of the blocks' outputs beside the network's answers
    average : share of the past in the moving average of the weights, which is what is kept
    half : whether products are taken in bfloat16
    """

    epochs: int
    batch: int = 32
    rate: float = 1e-3
    features: float = 1.0
    average: float = 0.98
    half: bool = False
    seed: int = 0


def half_pays() -> bool:
    """Whether this CPU multiplies bfloat16 itself (GoogLeNet, 224 pixels: 22 against 11 images a second)."""
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def fit(
    merged: nn.Module,
    teacher: nn.Module,
    blocks: Collection[str],
    images: Callable[[Tensor], Tensor],
    count: int,
    how: Fit,
    checkpoint: Path,
    progress: Progress,
) -> list[float]:
    """Fine-tune in place, towards the teacher's answers and outputs of `blocks`; mean loss of every epoch.

    `images` gives preprocessed images for some of `count` indices; it may change them at random. A checkpoint
    is written after every epoch, in one step; a run that finds one goes on behind it and ends with the
    weights of an undisturbed run.

    Raises
    ------
    BadInputError
        The checkpoint is damaged or belongs to a run with other settings.
    """
    for network in (merged, teacher):
        network.to(memory_format=torch.channels_last)
    optimiser = relative_adam(merged, how.rate)
    a_pass = max(1, count // min(how.batch, count))
    total = how.epochs * a_pass
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda s: cosine(s, total, total // 20))
    mean = AveragedModel(merged, multi_avg_fn=get_ema_multi_avg_fn(how.average))
    parts = {"model": merged, "mean": mean, "optimiser": optimiser}
    losses = _resume(checkpoint, parts, schedule, how)
    with tapped(merged, blocks) as made, tapped(teacher, blocks) as wanted:
        for epoch in range(len(losses), how.epochs):
            merged.train()
            generator = torch.Generator().manual_seed(how.seed * 100_003 + epoch)
            torch.manual_seed(how.seed * 100_003 + epoch)  # dropout and changed images
            seen: list[float] = []
            for step, index in zip(range(a_pass), batches(count, how.batch, generator), strict=False):
                inputs = images(index).contiguous(memory_format=torch.channels_last)
                with torch.autocast("cpu", torch.bfloat16, enabled=how.half):
                    with torch.no_grad():
                        answers = teacher(inputs)
                    guesses = merged(inputs)
                loss = distillation(guesses.float(), answers.float())
                loss = loss + how.features * feature_error(made, wanted)
                optimiser.zero_grad(set_to_none=True)
                loss.backward()
                optimiser.step()
                schedule.step()
                mean.update_parameters(merged)
                seen.append(float(loss.detach()))
                progress(epoch * a_pass + step + 1, total)
            losses.append(sum(seen) / len(seen))
            _save(checkpoint, parts, schedule, losses, how)
    if how.epochs:
        merged.load_state_dict(mean.module.state_dict())
    merged.eval()
    return losses


def feature_error(made: dict[str, Tensor], wanted: dict[str, Tensor]) -> Tensor:
    """Mean over blocks of the squared distance, over the variance of what is wanted."""
    errors = [
        (made[name].float() - target.float()).square().mean() / target.float().var().clamp_min(1e-12)
        for name, target in wanted.items()
    ]
    return torch.stack(errors).mean() if errors else torch.zeros(())


def _save(
    checkpoint: Path,
    parts: dict[str, Any],
    schedule: torch.optim.lr_scheduler.LambdaLR,
    losses: list[float],
    how: Fit,
) -> None:
    state: dict[str, Any] = {name: part.state_dict() for name, part in parts.items()} | {
        "schedule": {"last_epoch": schedule.last_epoch},
        "losses": losses,
        "fit": json.dumps(asdict(how)),
    }
    with replacing(checkpoint) as temporary:
        torch.save(state, temporary)


def _resume(
    checkpoint: Path, parts: dict[str, Any], schedule: torch.optim.lr_scheduler.LambdaLR, how: Fit
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
    for name, part in parts.items():
        part.load_state_dict(state[name])
    schedule.last_epoch = state["schedule"]["last_epoch"]
    return list(state["losses"])
