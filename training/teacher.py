"""Train a teacher once, from scratch or from the weights that it has, and keep it."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, OneCycleLR

from training.files import digest, save_weights, weights_of
from training.images import Data
from training.models import LoadedModel
from training.optim import batches, cosine, relative_adam

Progress = Callable[[int, int], None]
_BATCH = 32
_RATE = 2e-3
_FINE_RATE = 3e-3  # relative
_SHIFT = 1 / 16  # of the image's side


def train_teacher(
    loaded: LoadedModel, data: Data, epochs: int, seed: int, home: Path, progress: Progress
) -> nn.Module:
    """The model trained on the training split; from disk where it is known."""
    start = _fingerprint(loaded.model) if loaded.trained else ""
    key = [loaded.name, data.fingerprint, epochs, seed, _BATCH, _RATE, _FINE_RATE, _SHIFT, start]
    path = home / f"{loaded.name}-{digest(key)}.safetensors"
    if path.exists():
        loaded.model.load_state_dict(load_file(path))
        return loaded.model.eval()
    _train(loaded, data, epochs, seed, progress)
    save_weights(weights_of(loaded.model), path)
    return loaded.model.eval()


def _train(loaded: LoadedModel, data: Data, epochs: int, seed: int, progress: Progress) -> None:
    model = loaded.model.train().to(memory_format=torch.channels_last)
    generator = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)  # dropout
    steps = epochs * (len(data.train) // min(_BATCH, len(data.train)))
    optimiser, schedule = _descent(loaded, steps)
    for step, index in zip(range(steps), batches(len(data.train), _BATCH, generator), strict=False):
        images = loaded.preprocess(_shifted(data.train.pixels[index], generator))
        loss = nn.functional.cross_entropy(model(images), data.train.labels[index], label_smoothing=0.05)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        schedule.step()
        progress(step + 1, steps)
    model.to(memory_format=torch.contiguous_format)


def _descent(loaded: LoadedModel, steps: int) -> tuple[torch.optim.Optimizer, LRScheduler]:
    """Large steps from scratch; from trained weights, small ones in proportion to each tensor's own size."""
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


def _shifted(pixels: Tensor, generator: torch.Generator) -> Tensor:
    """Each image moved by a few pixels of its own (repeated at the border)."""
    reach = round(pixels.shape[-1] * _SHIFT)
    padded = nn.functional.pad(pixels.float(), (reach,) * 4, mode="replicate").to(torch.uint8)
    offsets = torch.randint(0, 2 * reach + 1, (len(pixels), 2), generator=generator).tolist()
    height, width = pixels.shape[2:]
    windows = zip(padded, offsets, strict=True)
    return torch.stack([p[:, top : top + height, left : left + width] for p, (top, left) in windows])
