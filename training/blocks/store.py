"""Weights by name, kept in a folder here or in object storage, and shared by all who know its address."""

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
    """A folder of safetensors files with notes; each is written in one step, so that readers find it whole.

    Parameters
    ----------
    address : a folder, or a URL that fsspec knows (``s3://bucket/bank``)

    Raises
    ------
    BadInputError
        The address is of a kind that is not known, or whose driver is not installed.
    """

    def __init__(self, address: str | Path) -> None:
        try:
            system, self.root = url_to_fs(str(address))
        except (ValueError, ImportError) as error:
            raise BadInputError(f"{address} cannot be used ({error}); give a folder or a URL") from error
        self.address = address
        self.system: AbstractFileSystem = system

    def read(self, name: str) -> tuple[dict[str, Tensor], dict[str, str]] | None:
        """Weights and their notes; None where there are none or the file is damaged: they are made again."""
        try:
            data: bytes = self.system.cat_file(self._path(name))
            weights = safetensors.torch.load(data)
        except (OSError, SafetensorError):
            return None
        (length,) = _HEADER.unpack_from(data)
        notes = json.loads(data[_HEADER.size : _HEADER.size + length]).get("__metadata__", {})
        return weights, notes

    def write(self, name: str, weights: dict[str, Tensor], notes: dict[str, str] | None = None) -> None:
        """Keep weights under a name."""
        data = safetensors.torch.save(weights, notes)
        if isinstance(self.system, LocalFileSystem):
            with replacing(Path(self._path(name))) as temporary:
                temporary.write_bytes(data)
        else:
            self.system.pipe_file(self._path(name), data)

    def check(self) -> None:
        """Write a file and remove it: a search shall not learn this when a layer has been learned.

        Raises
        ------
        BadInputError
            Nothing can be written there.
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
