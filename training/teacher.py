"""Trains a teacher, from scratch or from given weights, and keeps it."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, OneCycleLR

from training.data.dataset import Data
from training.files import digest
from training.finite import require_finite
from training.models.loading import LoadedModel
from training.optim import batches, cosine, half_pays, relative_adam
from training.progress import Progress
from training.store import WeightStore, weights_of

_BATCH = 32
_RATE = 2e-3
_FINE_RATE = 3e-3  # relative


def train_teacher(
    loaded: LoadedModel,
    data: Data,
    change: Callable[[Tensor], Tensor],
    epochs: int,
    seed: int,
    store: WeightStore,
    progress: Progress,
) -> nn.Module:
    """Train the model on the augmented training split; takes it from the store if it was trained before."""
    start = _fingerprint(loaded.model) if loaded.trained else ""
    recipe = [_BATCH, _RATE, _FINE_RATE, change.__name__, half_pays()]
    classes = [*data.classes, *data.train.labels.tolist()]
    key = [loaded.name, data.fingerprint, classes, epochs, seed, recipe, start]
    name = f"{Path(loaded.name).name}-{digest(key)}"
    known = store.read(name, loaded.model.state_dict())
    if known:
        loaded.model.load_state_dict(known[0])
    else:
        _train(loaded, data, change, epochs, seed, progress)
        store.write(name, weights_of(loaded.model))
    return loaded.model.eval()


def _train(
    loaded: LoadedModel,
    data: Data,
    change: Callable[[Tensor], Tensor],
    epochs: int,
    seed: int,
    progress: Progress,
) -> None:
    model = loaded.model.train().to(memory_format=torch.channels_last)
    generator = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)  # dropout and changed images
    steps = epochs * (len(data.train) // min(_BATCH, len(data.train)))
    optimiser, schedule = _descent(loaded, steps)
    for step, index in zip(range(steps), batches(len(data.train), _BATCH, generator), strict=False):
        images = loaded.preprocess(change(data.train.pixels[index]))
        with torch.autocast("cpu", torch.bfloat16, enabled=half_pays()):
            answers = model(images)
        loss = nn.functional.cross_entropy(answers.float(), data.train.labels[index], label_smoothing=0.05)
        require_finite(loss, f"training diverged: the teacher's loss after {step} of {steps} steps")
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        schedule.step()
        progress(step + 1, steps)
    model.to(memory_format=torch.contiguous_format)


def _descent(loaded: LoadedModel, steps: int) -> tuple[torch.optim.Optimizer, LRScheduler]:
    """Large steps from scratch; from trained weights, small ones relative to the size of each tensor."""
    if loaded.trained:
        gentle = relative_adam(loaded.model, _FINE_RATE)
        return gentle, LambdaLR(gentle, lambda step: cosine(step, steps, steps // 10))
    optimiser = torch.optim.AdamW(loaded.model.parameters(), lr=_RATE, weight_decay=0.02)
    return optimiser, OneCycleLR(optimiser, max_lr=_RATE, total_steps=steps)


def _fingerprint(model: nn.Module) -> str:
    found = hashlib.sha256()
    for value in model.state_dict().values():
        found.update(value.contiguous().numpy().tobytes())
    return found.hexdigest()
