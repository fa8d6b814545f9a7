"""What a runtime is, and the discovery of the runtimes in ``latency_models/runtimes``."""

import importlib
import math
import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from latency_models.board.timed import Timed
from latency_models.kernel import Kernel, Layer
from latency_models.target import Target, TargetError

DEFAULT = "onnxruntime"  # of boards that are new


@dataclass(frozen=True)
class Job:
    """What a machine needs to time one kernel: files by suffix, and what the runtime's `timed` must know."""

    files: dict[str, bytes]
    details: dict[str, Any]


class Runtime(ABC):
    """How one inference library executes a network on a CPU.

    Attributes
    ----------
    name : as targets call it
    timed : times a kernel, here and on boards; None where the runtime is known from shipped tables only
    counted : runs a kernel where instructions are counted; None where it cannot be
    whole : times a finished model, by the clock; None like `timed`
    model_suffix : how the name of a finished model's file ends
    like : operations that a table lacks, each as so many times another one
    """

    name: str
    timed: type[Timed] | None = None
    counted: type[Timed] | None = None
    whole: type[Timed] | None = None
    model_suffix: str = ""
    like: Mapping[str, tuple[str, float]] = {}

    def on(self, target: Target) -> "Runtime":
        """The runtime as it runs on a target."""
        return self

    def may_be(self, target: Target) -> tuple[Target, ...]:
        """What a target may turn out to be once it is measured, where it does not say."""
        return (target,)

    @abstractmethod
    def fuse(self, layers: Sequence[Layer]) -> list[Layer]:
        """The kernels that really run: the runtime's own fusions made, free layers dropped."""

    def job(self, kernel: Kernel) -> Job:
        """How to time one kernel.

        Raises
        ------
        NotImplementedError
            The runtime has no such operation; the message names it.
        """
        raise NotImplementedError(f"operation {kernel.op!r} cannot be timed")

    def counted_job(self, kernel: Kernel) -> Job:
        """How to count one kernel.

        Raises
        ------
        NotImplementedError
            The runtime has no such operation, or cannot run it alone; the message names it.
        """
        return self.job(kernel)

    def whole_job(self, model: Path, input_shape: tuple[int, ...] | None) -> Job:
        """How to time a finished model; `input_shape` is that of one image, where it is known.

        Raises
        ------
        NotImplementedError
            The runtime must know the size of the image.
        OSError, ValueError
            The file cannot be read, or is of another kind.
        """
        inputs = {} if input_shape is None else {"image": (1, *input_shape)}
        return Job({self.model_suffix: model.read_bytes()}, {"inputs": inputs})

    def network_job(self, network: Kernel) -> Job:
        """How to time a network in one piece: `network` is a kernel that makes its ONNX model.

        Raises
        ------
        NotImplementedError
            The runtime takes none from this program.
        """
        raise NotImplementedError(f"{self.name} takes no whole network from this program")

    def probes(self) -> dict[str, bytes]:
        """Models that tell what a board is like, by the names that `timed` knows them by."""
        return {}

    @abstractmethod
    def version(self) -> str:
        """Version of the library as it is installed here, or as its tables were measured."""

    def features(self, kernel: Kernel) -> np.ndarray:
        """What a kernel's time is a sum of, where tables are interpolated.

        Values read, values looked at, weights read and a constant, unless a runtime knows better.
        """
        read, made = (math.prod(shape) for shape in (kernel.in_shape, kernel.out_shape))
        return np.array([read, made * math.prod(kernel.window), kernel.parameters, 1.0], dtype=float)


@cache
def discover() -> dict[str, Runtime]:
    """All runtimes by name."""
    package = importlib.import_module(".runtimes", __package__)
    names = [module.name for module in pkgutil.iter_modules(package.__path__)]
    found = [importlib.import_module(f"{package.__name__}.{name}").RUNTIME for name in names]
    return {runtime.name: runtime for runtime in found}


def named(name: str) -> Runtime:
    """A runtime by its name.

    Raises
    ------
    TargetError
        There is none.
    """
    if name not in discover():
        raise TargetError(f"unknown runtime {name!r}; expected one of {', '.join(sorted(discover()))}")
    return discover()[name]


def measurable() -> list[str]:
    """The runtimes that can be timed, the default first."""
    found = [name for name, runtime in discover().items() if runtime.timed]
    return sorted(found, key=lambda name: (name != DEFAULT, name))


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
            kept.append(layer.reading(inputs))
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
            fused[layer.name] = layer.reading(inputs)
    return list(fused.values())
