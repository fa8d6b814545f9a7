"""Trains a teacher, from scratch or from given weights, and keeps it."""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, OneCycleLR

from training.checkpoint import Dice, Progressed, resume, save
from training.data.dataset import Data
from training.errors import BadInputError
from training.files import digest
from training.finite import require_finite
from training.metrics import scores_of
from training.models.loading import LoadedModel
from training.optim import batches, cosine, half_pays, relative_adam
from training.progress import Note, Session
from training.store import WeightStore, fingerprint_of, weights_of

_BATCH = 32
_RATE = 2e-3
_FINE_RATE = 3e-3  # relative


@dataclass(frozen=True)
class Lessons:
    """How a teacher is trained: passes over the images, their augmentation, and the seed."""

    epochs: int
    change: Callable[[Tensor], Tensor]
    seed: int


def train_teacher(loaded: LoadedModel, data: Data, how: Lessons, session: Session) -> nn.Module:
    """Train the model on the augmented training split; what was trained before is read from `session.home`.

    A checkpoint is kept of every epoch: an interrupted training goes on behind it, and ends with the weights
    of an undisturbed one.
    """
    store = WeightStore(session.home / "teachers", session.note)
    start = fingerprint_of(loaded.model) if loaded.trained else ""
    recipe = [_BATCH, _RATE, _FINE_RATE, how.change.__name__, half_pays(), str(loaded.preprocess)]
    classes = [*data.classes, *data.train.labels.tolist()]
    key = [loaded.name, data.fingerprint, classes, how.epochs, how.seed, recipe, start]
    name = f"{Path(loaded.name).name}-{digest(key)}"
    known = store.read(name, loaded.model.state_dict())
    if known:
        loaded.model.load_state_dict(known[0])
    else:
        checkpoint = session.home / "teachers" / f"{name}.checkpoint"
        _train(loaded, data, how, checkpoint, session)
        store.write(name, weights_of(loaded.model))
        checkpoint.unlink(missing_ok=True)
    return loaded.model.eval()


def _train(loaded: LoadedModel, data: Data, how: Lessons, checkpoint: Path, session: Session) -> None:
    progress = session.watch(f"training the teacher ({how.epochs} epochs)")
    model = loaded.model.train().to(memory_format=torch.channels_last)
    generator = torch.Generator().manual_seed(how.seed)
    torch.manual_seed(how.seed)  # dropout and changed images
    a_pass = len(data.train) // min(_BATCH, len(data.train))
    steps = how.epochs * a_pass
    optimiser, schedule = _descent(loaded, steps)
    parts = {"model": model, "optimiser": optimiser, "dice": Dice(generator)}
    done = _resumed(checkpoint, parts, schedule, session.note)
    for epoch in range(len(done.losses), how.epochs):
        seen = 0.0
        for number, index in enumerate(islice(batches(len(data.train), _BATCH, generator), a_pass)):
            step = epoch * a_pass + number
            images = loaded.preprocess(how.change(data.train.pixels[index]))
            with torch.autocast("cpu", torch.bfloat16, enabled=half_pays()):
                scores = scores_of(model(images))
            loss = nn.functional.cross_entropy(scores.float(), data.train.labels[index], label_smoothing=0.05)
            require_finite(loss, f"training diverged: the teacher's loss after {step} of {steps} steps")
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
            schedule.step()
            seen += float(loss.detach())
            progress(step + 1, steps)
        done.losses.append(seen / a_pass)
        save(checkpoint, parts, schedule, checkpoint.stem, done)
    model.to(memory_format=torch.contiguous_format)


def _resumed(checkpoint: Path, parts: dict[str, Any], schedule: LRScheduler, note: Note) -> Progressed:
    """The epochs that an interrupted training has finished; one whose checkpoint is damaged begins again."""
    begun = {name: copy.deepcopy(part.state_dict()) for name, part in parts.items()}
    try:
        return resume(checkpoint, parts, schedule, checkpoint.stem) or Progressed([], [])
    except BadInputError as error:
        note(f"{str(error).partition(';')[0]}; the teacher is trained from the start")
        for name, part in parts.items():
            part.load_state_dict(begun[name])
        return Progressed([], [])


def _descent(loaded: LoadedModel, steps: int) -> tuple[torch.optim.Optimizer, LRScheduler]:
    """Large steps from scratch; from trained weights, small ones relative to the size of each tensor."""
    if loaded.trained:
        gentle = relative_adam(loaded.model, _FINE_RATE)
        return gentle, LambdaLR(gentle, lambda step: cosine(step, steps, steps // 10))
    optimiser = torch.optim.AdamW(loaded.model.parameters(), lr=_RATE, weight_decay=0.02)
    return optimiser, OneCycleLR(optimiser, max_lr=_RATE, total_steps=steps)
