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
from latency_models.onnx_model import OPS, one_kernel_model
from latency_models.runtime import Job, drop_free, fuse_activations

_FREE = {"flatten", "identity", "dropout"}
_ACTIVATIONS = {"relu", "relu6"}
_BLOCKS = (8, 16)


class OnnxRuntime:
    name = "onnxruntime"

    def fuse(self, layers: Sequence[Layer]) -> list[Layer]:
        plain = fuse_activations(drop_free(layers, _FREE), into={"conv"}, which=_ACTIVATIONS)
        plain = fuse_activations(plain, into={"linear"}, which={"relu"})
        return blocked(plain, self.block, _ACTIVATIONS)

    @cached_property
    def block(self) -> int:
        """Channels that this machine's convolutions take at once (16 with AVX-512, 8 with AVX; 0: none)."""
        return next((size for size in _BLOCKS if _pools_in_blocks(size)), 0)

    def job(self, kernel: Kernel) -> Job | None:
        content = one_kernel_model(kernel).SerializeToString()
        return Job({".onnx": content}, {"ops": OPS[kernel.op]})

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


def _pools_in_blocks(channels: int) -> bool:
    """Whether the runtime makes blocks for a pooling of so many channels."""
    kernel = Kernel("maxpool", (channels, 4, 4), (channels, 4, 4))
    return "ReorderInput" in kept_operations(one_kernel_model(kernel).SerializeToString())


def kept_operations(model: bytes | str) -> list[str]:
    """The operations that the runtime runs for a model, read from its own profile of one run."""
    with tempfile.TemporaryDirectory() as folder:
        session = session_of(model, 1, str(Path(folder) / "run"))
        feeds = {value.name: np.zeros(value.shape, np.float32) for value in session.get_inputs()}
        session.run(None, feeds)
        events = json.loads(Path(session.end_profiling()).read_text())
    return [e["args"]["op_name"] for e in events if e["name"].endswith("_kernel_time")]


RUNTIME = OnnxRuntime()
