"""What a runtime is, and the discovery of the runtimes in ``latency_models/runtimes``."""

import importlib
import pkgutil
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Protocol

from latency_models.kernel import Kernel, Layer
from latency_models.target import Target


@dataclass(frozen=True)
class Job:
    """What a machine needs to time one kernel: files by suffix, and what its backend must know.

    See ``board/backends.py``, which reads both.
    """

    files: dict[str, bytes]
    details: dict[str, Any]


class Runtime(Protocol):
    """How one inference library executes a network on a CPU."""

    name: str

    def on(self, target: Target) -> "Runtime":
        """The runtime as it runs on a target."""
        ...

    def fuse(self, layers: Sequence[Layer]) -> list[Layer]:
        """The kernels that really run: the runtime's own fusions made, free layers dropped."""
        ...

    def job(self, kernel: Kernel) -> Job | None:
        """How to time one kernel, or None where the runtime is known from shipped tables only.

        Raises
        ------
        NotImplementedError
            The runtime has no such operation; the message names it.
        """
        ...

    def probes(self) -> dict[str, bytes]:
        """Models that tell a board's blocks, by their number of channels (see ``board/backends.py``)."""
        ...

    def version(self) -> str:
        """Version of the library as it is installed here, or as its tables were measured."""
        ...


@cache
def discover() -> dict[str, Runtime]:
    """All runtimes by name."""
    package = importlib.import_module(".runtimes", __package__)
    names = [module.name for module in pkgutil.iter_modules(package.__path__)]
    found = [importlib.import_module(f"{package.__name__}.{name}").RUNTIME for name in names]
    return {runtime.name: runtime for runtime in found}


def drop_free(layers: Sequence[Layer], free: Collection[str]) -> list[Layer]:
    """Take out operations that cost nothing; their readers read their input."""
    sources: dict[str, str] = {}
    kept: list[Layer] = []
    for layer in layers:
        inputs = tuple(sources.get(name, name) for name in layer.inputs)
        if layer.kernel.op in free or (
            layer.kernel.op == "concat" and len(set(inputs)) == 1 == len(layer.kernel.parts)
        ):
            sources[layer.name] = inputs[0]
        else:
            kept.append(replace(layer, inputs=inputs))
    return kept


def fuse_activations(layers: Sequence[Layer], into: Collection[str], which: Collection[str]) -> list[Layer]:
    """Fuse an activation into the operation before it where nothing else reads that one."""
    readers: dict[str, int] = {}
    for layer in layers:
        for name in layer.inputs:
            readers[name] = readers.get(name, 0) + 1
    fused: dict[str, Layer] = {}
    renamed: dict[str, str] = {}
    for layer in layers:
        inputs = tuple(renamed.get(name, name) for name in layer.inputs)
        before = fused.get(inputs[0]) if inputs else None
        if (
            layer.kernel.op in which
            and before is not None
            and before.kernel.op in into
            and not before.kernel.activation
            and readers[before.name] == 1
        ):
            fused[before.name] = replace(before, kernel=replace(before.kernel, activation=layer.kernel.op))
            renamed[layer.name] = before.name
            readers[before.name] = readers.get(layer.name, 0)
        else:
            fused[layer.name] = replace(layer, inputs=inputs)
    return list(fused.values())
