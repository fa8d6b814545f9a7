"""Train a teacher once and keep it."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from training.files import replacing
from training.images import Data
from training.models import LoadedModel
from training.optim import batches

Progress = Callable[[int, int], None]
_BATCH = 32
_RATE = 2e-3
_SHIFT = 1 / 16  # of the image's side


def train_teacher(
    loaded: LoadedModel, data: Data, epochs: int, seed: int, home: Path, progress: Progress
) -> nn.Module:
    """The model trained from scratch on the training split; from disk where it is known."""
    key = json.dumps([loaded.name, data.fingerprint, epochs, seed, _BATCH, _RATE, _SHIFT])
    path = home / f"{loaded.name}-{hashlib.sha256(key.encode()).hexdigest()[:12]}.safetensors"
    if path.exists():
        loaded.model.load_state_dict(load_file(path))
        return loaded.model.eval()
    _train(loaded, data, epochs, seed, progress)
    with replacing(path) as temporary:
        save_file({k: v.contiguous() for k, v in loaded.model.state_dict().items()}, temporary)
    return loaded.model.eval()


def _train(loaded: LoadedModel, data: Data, epochs: int, seed: int, progress: Progress) -> None:
    model = loaded.model.train().to(memory_format=torch.channels_last)
    generator = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)  # dropout
    steps = epochs * (len(data.train) // min(_BATCH, len(data.train)))
    optimiser = torch.optim.AdamW(model.parameters(), lr=_RATE, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=_RATE, total_steps=steps)
    for step, index in zip(range(steps), batches(len(data.train), _BATCH, generator), strict=False):
        images = loaded.preprocess(_shifted(data.train.pixels[index], generator))
        loss = nn.functional.cross_entropy(model(images), data.train.labels[index], label_smoothing=0.05)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        schedule.step()
        progress(step + 1, steps)
    model.to(memory_format=torch.contiguous_format)


def _shifted(pixels: Tensor, generator: torch.Generator) -> Tensor:
    """Each image moved by a few pixels of its own (repeated at the border)."""
    reach = round(pixels.shape[-1] * _SHIFT)
    padded = nn.functional.pad(pixels.float(), (reach,) * 4, mode="replicate").to(torch.uint8)
    offsets = torch.randint(0, 2 * reach + 1, (len(pixels), 2), generator=generator).tolist()
    height, width = pixels.shape[2:]
    windows = zip(padded, offsets, strict=True)
    return torch.stack([p[:, top : top + height, left : left + width] for p, (top, left) in windows])
