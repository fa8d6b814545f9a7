"""ONNX Runtime on the CPU: fuses activations (and sums) into convolutions, drops what is the identity.

On x86 it runs convolutions and poolings in blocked layout; the copies between layouts are kernels too.
Each kernel is timed inside a small model, by the runtime's own profile.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from latency_models.kernel import Kernel, Layer
from latency_models.layouts import blocked
from latency_models.onnx_timed import OneKernelCounted, OneKernelTimed, WholeTimed
from latency_models.runtime import Job, Runtime, drop_free, fuse_activations
from latency_models.target import Target

if TYPE_CHECKING:  # help lists the runtimes, and shall not wait for their libraries
    import onnxruntime

_FREE = {"flatten", "identity", "dropout"}
_ACTIVATIONS = {"relu", "relu6", "leakyrelu", "sigmoid", "tanh", "hardsigmoid", "hardswish"}
BLOCKS = (8, 16)


def _sized(name: str, dims: list[int | None], image: tuple[int, ...] | None) -> list[int]:
    """The shape of an input for one image: sides that its file leaves free are the image's."""
    asked = [1, *image] if image and len(dims) == len(image) + 1 else [1, *(None for _ in dims[1:])]
    clash = any(
        None not in (own, wanted) and own != wanted for own, wanted in zip(dims[1:], asked[1:], strict=True)
    )
    sides = [own or wanted for own, wanted in zip(dims, asked, strict=True)]
    shown = "x".join(str(own or "?") for own in dims[1:])
    if clash:
        raise ValueError(f"its input {name} takes {shown}, not {'x'.join(map(str, asked[1:]))}")
    if None in sides:
        raise ValueError(f"its input {name} leaves sides free ({shown}); give `input_size`, such as 224")
    return [side for side in sides if side is not None]


class OnnxRuntime(Runtime):
    name = "onnxruntime"
    timed = OneKernelTimed
    counted = OneKernelCounted
    whole = WholeTimed
    model_suffix = ".onnx"

    def __init__(self, block: int | None = None) -> None:
        self._block = block

    def on(self, target: Target) -> Runtime:
        block = 0 if target.core else target.block  # version 1.20 has no blocks on ARM
        return self if block is None else OnnxRuntime(block)

    def whole_job(self, model: Path, input_shape: tuple[int, ...] | None) -> Job:
        return self._whole(model.read_bytes(), input_shape)

    def network_job(self, network: Kernel) -> Job:
        assert network.model is not None
        return self._whole(network.model(), network.in_shape)

    def _whole(self, content: bytes, input_shape: tuple[int, ...] | None) -> Job:
        from latency_models.onnx_model import inputs_of

        inputs = {name: _sized(name, dims, input_shape) for name, dims in inputs_of(content).items()}
        return Job({self.model_suffix: content}, {"inputs": inputs})

    def may_be(self, target: Target) -> tuple[Target, ...]:
        blocks = (0, *BLOCKS) if target.block is None else (target.block,)
        return tuple(replace(target, block=block) for block in blocks)

    def fuse(self, layers: Sequence[Layer]) -> list[Layer]:
        plain = fuse_activations(drop_free(layers, _FREE), into={"conv"}, which=_ACTIVATIONS)
        plain = fuse_activations(plain, into={"linear"}, which={"relu"})
        return blocked(plain, self.block, _ACTIVATIONS)

    @cached_property
    def block(self) -> int:
        """Channels that convolutions take at once (16 with AVX-512, 8 with AVX; 0: none)."""
        if self._block is not None:
            return self._block
        return next((size for size in BLOCKS if _pools_in_blocks(size)), 0)

    def job(self, kernel: Kernel) -> Job:
        from latency_models.onnx_model import EMPTY, OPS, alone, one_kernel_model

        if kernel.model is not None:
            return Job({".onnx": alone(kernel.model()).SerializeToString()}, {"ops": [], "empty": EMPTY})
        if kernel.op not in OPS or kernel.details:
            raise NotImplementedError(f"operation {kernel.op!r} is not known without its network")
        content = one_kernel_model(kernel).SerializeToString()
        return Job({".onnx": content}, {"ops": OPS[kernel.op], "empty": EMPTY})

    def counted_job(self, kernel: Kernel) -> Job:
        from latency_models.onnx_counted import once_and_twice

        if kernel.model is not None or kernel.details:
            raise NotImplementedError(f"operation {kernel.op!r} is not counted alone")
        once, twice = once_and_twice(kernel)
        return Job({"-once.onnx": once, "-twice.onnx": twice}, {})

    def probes(self) -> dict[str, bytes]:
        return {str(channels): pooling_model(channels) for channels in BLOCKS}

    def version(self) -> str:
        import onnxruntime

        return str(onnxruntime.__version__)


def session_of(model: bytes | str, threads: int, profile: str = "") -> onnxruntime.InferenceSession:
    """A session on the CPU, sequential, with all optimisations (model bytes or a file's path).

    With `profile`, the runtime writes what it ran and how long into a file that begins so.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = 3
    if profile:
        options.enable_profiling, options.profile_file_prefix = True, profile
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def pooling_model(channels: int) -> bytes:
    """A pooling that runs in blocks if, and only if, blocks have so many channels or fewer."""
    from latency_models.onnx_model import one_kernel_model

    kernel = Kernel("maxpool", (channels, 4, 4), (channels, 4, 4))
    return one_kernel_model(kernel).SerializeToString()


def _pools_in_blocks(channels: int) -> bool:
    """Whether the runtime makes blocks for a pooling of so many channels."""
    return "ReorderInput" in kept_operations(pooling_model(channels))


def kept_operations(model: bytes | str) -> list[str]:
    """The operations that the runtime runs for a model, read from its own profile of one run."""
    with tempfile.TemporaryDirectory() as folder:
        session = session_of(model, 1, str(Path(folder) / "run"))
        feeds = {value.name: np.zeros(value.shape, np.float32) for value in session.get_inputs()}
        session.run(None, feeds)
        events = json.loads(Path(session.end_profiling()).read_text())
    return [e["args"]["op_name"] for e in events if e["name"].endswith("_kernel_time")]


RUNTIME = OnnxRuntime()
