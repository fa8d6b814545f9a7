"""Weights by name, in a local folder or in object storage, shared by all processes with its address."""

import json
import struct
import uuid
from pathlib import Path

import safetensors.torch
from fsspec import AbstractFileSystem
from fsspec.core import url_to_fs
from fsspec.implementations.local import LocalFileSystem
from safetensors import SafetensorError
from torch import Tensor

from training.errors import BadInputError
from training.files import replacing

_HEADER = struct.Struct("<Q")


class WeightStore:
    """A folder of safetensors files with notes, each written atomically.

    Parameters
    ----------
    address : a folder, or an fsspec URL (``s3://bucket/bank``)

    Raises
    ------
    BadInputError
        The address is of an unknown kind, or its driver is not installed.
    """

    def __init__(self, address: str | Path) -> None:
        try:
            system, self.root = url_to_fs(str(address))
        except (ValueError, ImportError) as error:
            raise BadInputError(f"{address} cannot be used ({error}); give a folder or a URL") from error
        self.address = address
        self.system: AbstractFileSystem = system

    def read(self, name: str) -> tuple[dict[str, Tensor], dict[str, str]] | None:
        """Read weights and their notes; None if absent, or if the file is damaged (they are made again)."""
        try:
            data: bytes = self.system.cat_file(self._path(name))
            weights = safetensors.torch.load(data)
        except (OSError, SafetensorError):
            return None
        (length,) = _HEADER.unpack_from(data)
        notes = json.loads(data[_HEADER.size : _HEADER.size + length]).get("__metadata__", {})
        return weights, notes

    def write(self, name: str, weights: dict[str, Tensor], notes: dict[str, str] | None = None) -> None:
        """Store weights under a name."""
        data = safetensors.torch.save(weights, notes)
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
