"""Files written in one step: a reader sees the old file or the new one, never half of it."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn


def weights_of(model: nn.Module) -> dict[str, Tensor]:
    """A network's weights as safetensors takes them."""
    return {name: value.contiguous() for name, value in model.state_dict().items()}


def save_weights(weights: dict[str, Tensor], path: Path, notes: dict[str, str] | None = None) -> None:
    """Write weights as safetensors, in one step."""
    with replacing(path) as temporary:
        save_file(weights, temporary, metadata=notes)


def kept_weights(path: Path) -> tuple[dict[str, Tensor], dict[str, str]] | None:
    """Weights and their notes; None where there is no file or it is damaged: what it held is made again."""
    if not path.exists():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118 (no mapping)
    except (SafetensorError, OSError):
        return None


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside `path` that takes its place when the block ends well."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}-", suffix=path.suffix)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o644)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
