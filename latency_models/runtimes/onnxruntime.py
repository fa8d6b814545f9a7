"""ONNX Runtime on the CPU: fuses activations (and sums) into convolutions, drops what is the identity.

On x86 it runs convolutions and poolings in blocked layout; the copies between layouts are kernels too.
Each kernel is timed inside a small model, by the runtime's own profile.
"""

import json
import tempfile
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import onnxruntime

from latency_models.kernel import Kernel, Layer
from latency_models.layouts import blocked
from latency_models.onnx_model import EMPTY, OPS, one_kernel_model
from latency_models.runtime import Job, Runtime, drop_free, fuse_activations
from latency_models.target import Target

_FREE = {"flatten", "identity", "dropout"}
_ACTIVATIONS = {"relu", "relu6"}
BLOCKS = (8, 16)


class OnnxRuntime:
    name = "onnxruntime"

    def __init__(self, block: int | None = None) -> None:
        self._block = block

    def on(self, target: Target) -> Runtime:
        return self if target.block is None else OnnxRuntime(target.block)

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

    def job(self, kernel: Kernel) -> Job | None:
        content = one_kernel_model(kernel).SerializeToString()
        return Job({".onnx": content}, {"ops": OPS[kernel.op], "empty": EMPTY})

    def probes(self) -> dict[str, bytes]:
        return {str(channels): pooling_model(channels) for channels in BLOCKS}

    def version(self) -> str:
        return onnxruntime.__version__


def session_of(model: bytes | str, threads: int, profile: str = "") -> onnxruntime.InferenceSession:
    """A session on the CPU, sequential, with all optimisations (model bytes or a file's path).

    With `profile`, the runtime writes what it ran and how long into a file that begins so.
    """
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
