"""Weights by name, in a local folder or in object storage, shared by all processes with its address."""

import hashlib
import json
import struct
import uuid
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import safetensors.torch
from fsspec import AbstractFileSystem
from fsspec.core import url_to_fs
from fsspec.implementations.local import LocalFileSystem
from safetensors import SafetensorError
from torch import Tensor, nn

from training.errors import BadInputError
from training.files import replacing
from training.progress import Note, unsaid

_HEADER = struct.Struct("<Q")
_CHECKSUM = "sha256"


def weights_of(model: nn.Module) -> dict[str, Tensor]:
    """A network's weights, in the form that safetensors takes."""
    return {name: value.contiguous() for name, value in model.state_dict().items()}


def fingerprint_of(model: nn.Module) -> str:
    """Identifies a network's weights, bit by bit."""
    found = hashlib.sha256()
    for value in weights_of(model).values():
        found.update(value.numpy().tobytes())
    return found.hexdigest()


class WeightStore:
    """A folder of safetensors files with notes and a checksum, each written atomically.

    Parameters
    ----------
    address : a folder, or an fsspec URL (``s3://bucket/bank``)
    note : is told of files that cannot be used

    Raises
    ------
    BadInputError
        The address is of an unknown kind, or its driver is not installed.
    """

    def __init__(self, address: str | Path, note: Note = unsaid) -> None:
        try:
            system, self.root = url_to_fs(str(address))
        except (ValueError, ImportError) as error:
            raise BadInputError(f"{address} cannot be used ({error}); give a folder or a URL") from error
        self.address = address
        self.note = note
        self.system: AbstractFileSystem = system

    def read(
        self,
        name: str,
        like: Mapping[str, Tensor] | None = None,
        perhaps: Mapping[str, Tensor] = MappingProxyType({}),
    ) -> tuple[dict[str, Tensor], dict[str, str]] | None:
        """Read weights and their notes; None if absent, or not usable: then they are to be made again.

        Not usable are damaged files, and those whose tensors have other names, shapes or types than `like`;
        tensors like those in `perhaps` may be there too.
        """
        path = self._path(name)
        if not self.system.exists(path):
            return None
        try:
            weights, notes = _unpacked(self.system.cat_file(path))
            if like is not None:
                there = {extra: value for extra, value in perhaps.items() if extra in weights}
                if _layout(weights) != _layout({**like, **there}):
                    raise ValueError("it holds tensors of something else")
        except (OSError, SafetensorError, ValueError) as error:
            self.note(f"{path} cannot be used ({error}); it is made again")
            return None
        return weights, notes

    def write(self, name: str, weights: dict[str, Tensor], notes: Mapping[str, str] | None = None) -> None:
        """Store weights under a name."""
        checksum = _checksum(safetensors.torch.save(weights))
        data = safetensors.torch.save(weights, {**(notes or {}), _CHECKSUM: checksum})
        if isinstance(self.system, LocalFileSystem):
            with replacing(Path(self._path(name))) as temporary:
                temporary.write_bytes(data)
        else:
            self.system.pipe_file(self._path(name), data)

    def check(self) -> None:
        """Check that the store is writable, before any layer is learned.

        Raises
        ------
        BadInputError
            The store is not writable.
        """
        name = f"check-{uuid.uuid4().hex}"
        try:
            self.write(name, {})
            self.system.rm_file(self._path(name))
        except Exception as error:  # every driver has errors of its own
            reason = (str(error) or type(error).__name__).splitlines()[0]
            raise BadInputError(
                f"learned layers cannot be written to {self.address} ({reason}); make it writable, "
                "or name another place with `bank`"
            ) from error

    def _path(self, name: str) -> str:
        return f"{self.root}/{name}.safetensors"


def _layout(weights: Mapping[str, Tensor]) -> dict[str, tuple[object, object]]:
    return {name: (value.shape, value.dtype) for name, value in weights.items()}


def _unpacked(data: bytes) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Weights and notes of a file's bytes.

    Raises
    ------
    SafetensorError, ValueError
        The bytes are damaged.
    """
    weights = safetensors.torch.load(data)
    (length,) = _HEADER.unpack_from(data)
    notes = json.loads(data[_HEADER.size : _HEADER.size + length]).get("__metadata__", {})
    if notes.pop(_CHECKSUM, _checksum(data)) != _checksum(data):
        raise ValueError("its checksum is wrong")
    return weights, notes


def _checksum(data: bytes) -> str:
    """Of the tensors behind the header, which holds it."""
    (length,) = _HEADER.unpack_from(data)
    return hashlib.sha256(memoryview(data)[_HEADER.size + length :]).hexdigest()
