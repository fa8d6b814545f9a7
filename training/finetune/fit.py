"""Fully trains a merged network, resumably, on the CPU, one GPU or several."""

import copy
import json
import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from lightning_fabric import Fabric
from lightning_fabric.loggers import TensorBoardLogger
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from training.checkpoint import Progressed, resume, save
from training.finetune.captured import Captured
from training.finetune.objectives import Objective
from training.finite import require_finite
from training.optim import batches
from training.progress import Progress, Watch, silent

Judge = Callable[[nn.Module], float]


@dataclass(frozen=True)
class Fit:
    """How long and how a whole network is trained.

    Attributes
    ----------
    average : decay of the moving average of the weights, which is what is kept
    half : whether products are taken in bfloat16
    patience : stop after this many epochs without a better judgement; 0: never
    """

    epochs: int
    batch: int = 32
    average: float = 0.98
    half: bool = False
    patience: int = 0
    seed: int = 0


@dataclass(frozen=True)
class Inputs:
    """Training images.

    Attributes
    ----------
    of : gives preprocessed images for some of `count` indices; it may change them at random
    labels : class number of every image
    """

    of: Callable[[Tensor], Tensor]
    count: int
    labels: Tensor | None = None


@dataclass(frozen=True)
class Log:
    """Where a `part` of a training writes its checkpoint and TensorBoard's files, and how it is reported."""

    folder: Path
    watch: Watch = silent
    part: str = "whole"
    title: str = "fine-tuning"


def is_first() -> bool:
    """Whether this process reports for all that ``torchrun`` started."""
    return os.environ.get("RANK", "0") == "0"


def fit(
    merged: nn.Module,
    objective: Objective,
    inputs: Inputs,
    how: Fit,
    log: Log,
    judge: Judge | None = None,
) -> list[float]:
    """Train in place; returns the mean loss of every epoch.

    A checkpoint is written after every epoch, in one step; a run that finds one goes on behind it and ends
    with the weights of an undisturbed run. What is kept is the moving average of the weights, with `judge`
    (the larger the better) that of the best epoch. Losses and judgements go to TensorBoard's files. Under
    ``torchrun`` every process takes its share of each batch.

    Raises
    ------
    BadInputError
        The checkpoint is damaged or belongs to a run with other settings.
    DivergedError
        The loss is not finite; the checkpoint is of the epoch before.
    """
    if how.epochs == 0:
        merged.eval()
        return []
    run = _Run(merged, objective, inputs, how, log.folder / "tensorboard" / log.part, judge is not None)
    progress = log.watch(f"{log.title} ({how.epochs} epochs)")
    checkpoint, identity = (
        log.folder / f"checkpoint-{log.part}.pt",
        json.dumps([asdict(how), objective.describe()]),
    )
    done = resume(checkpoint, run.parts, run.schedule, identity) or Progressed([], [])
    progress(len(done.losses) * run.a_pass, run.total)
    with objective.watching(merged, run.fabric.device):
        for epoch in range(len(done.losses), how.epochs):
            if done.stale(how.patience):
                progress(run.total, run.total)
                break
            done.losses.append(run.epoch(epoch, progress))
            done.judged.append(judge(run.mean.module.eval()) if judge else float(epoch))
            if done.is_best:
                run.best.load_state_dict(run.mean.state_dict())
            run.log(epoch, {"loss": done.losses[-1]} | ({"judged": done.judged[-1]} if judge else {}))
            if run.fabric.is_global_zero:
                save(checkpoint, run.parts, run.schedule, identity, done)
    merged.load_state_dict(run.best.module.state_dict())
    merged.to("cpu").eval()
    return done.losses


class _Run:
    """A network in training, on its device."""

    def __init__(
        self,
        merged: nn.Module,
        objective: Objective,
        inputs: Inputs,
        how: Fit,
        logs: Path,
        judged: bool,
    ) -> None:
        self.fabric = _fabric(how, logs)
        self.objective, self.inputs, self.how = objective, inputs, how
        self.merged = merged.to(self.fabric.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.mean = AveragedModel(self.merged, multi_avg_fn=_moving(how.average))
        self.best = copy.deepcopy(self.mean) if judged else self.mean
        self.network, self.optimiser = self.fabric.setup(self.merged, objective.optimiser(self.merged))
        # The paper's optimiser is not made for it, and nobody has tried it with several GPUs.
        captured = self.optimiser.param_groups[0].get("capturable") and self.fabric.world_size == 1
        self.step = Captured(self._step) if captured else self._step
        self.a_pass = max(1, inputs.count // min(how.batch, inputs.count))
        self.total = how.epochs * self.a_pass
        self.schedule = torch.optim.lr_scheduler.LambdaLR(
            self.optimiser, lambda step: objective.factor(step, self.total)
        )
        self.parts = {
            "model": self.merged,
            "mean": self.mean,
            "best": self.best,
            "optimiser": self.optimiser,
        }

    def epoch(self, number: int, progress: Progress) -> float:
        """Train for one epoch; returns the mean loss."""
        self.network.train()
        generator = torch.Generator().manual_seed(self.how.seed * 100_003 + number)
        torch.manual_seed(self.how.seed * 100_003 + number)  # dropout and changed images
        fabric, seen = self.fabric, list[float]()
        for step, batch in zip(
            range(self.a_pass), batches(self.inputs.count, self.how.batch, generator), strict=False
        ):
            index = batch[fabric.global_rank :: fabric.world_size]
            inputs = self.inputs.of(index).to(fabric.device, memory_format=torch.channels_last)
            loss = self.step(inputs, index.to(fabric.device))
            require_finite(loss, f"training diverged: the loss in epoch {number + 1}, step {step + 1}")
            self.schedule.step()
            self.mean.update_parameters(self.merged)
            seen.append(float(loss))
            progress(number * self.a_pass + step + 1, self.total)
        mean = fabric.all_reduce(torch.tensor(sum(seen) / len(seen), device=fabric.device))
        assert isinstance(mean, Tensor)
        return float(mean)

    def _step(self, inputs: Tensor, index: Tensor) -> Tensor:
        """Descend once; returns the loss before it."""
        answers = self.network(inputs)
        with self.fabric.autocast():
            loss = self.objective.loss(answers, inputs, index)
        self.optimiser.zero_grad(set_to_none=True)
        self.fabric.backward(loss)
        self.optimiser.step()
        return loss.detach()

    def log(self, epoch: int, values: dict[str, float]) -> None:
        """Log to TensorBoard, with the learning rate's factor."""
        self.fabric.log_dict(
            values | {"rate": self.objective.factor(self.schedule.last_epoch, self.total)}, epoch
        )


def _moving(decay: float) -> Callable[[Sequence[Tensor], Sequence[Tensor], Tensor | int], None]:
    """A moving average that forgets its beginning quickly, or a short training would keep much of it.

    The decay of step t is at most (1 + t) / (10 + t), as TensorFlow's ExponentialMovingAverage has it.
    """

    def update(mean: Sequence[Tensor], now: Sequence[Tensor], seen: Tensor | int) -> None:
        kept = min(decay, (1 + int(seen)) / (10 + int(seen)))
        get_ema_multi_avg_fn(kept)(mean, now, seen)

    return update


def _fabric(how: Fit, logs: Path) -> Fabric:
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # it announces what was asked for
    torch.backends.cudnn.deterministic = True  # or a resumed run ends otherwise on a GPU
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    here = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    fabric = Fabric(
        devices=here,
        num_nodes=processes // here,
        strategy="ddp" if processes > 1 else "auto",
        precision="bf16-mixed" if how.half else "32-true",
        loggers=TensorBoardLogger(logs.parent, name="", version=logs.name),
    )
    fabric.launch()
    return fabric
