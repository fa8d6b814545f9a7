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
from typing import TYPE_CHECKING, Any

import numpy as np

from latency_models.board.timed import Timed
from latency_models.kernel import Kernel, Layer
from latency_models.layouts import blocked
from latency_models.runtime import Job, Runtime, drop_free, fuse_activations
from latency_models.target import Target

if TYPE_CHECKING:  # help lists the runtimes, and shall not wait for their libraries
    import onnxruntime

_FREE = {"flatten", "identity", "dropout"}
_ACTIVATIONS = {"relu", "relu6", "leakyrelu", "sigmoid", "tanh", "hardsigmoid", "hardswish"}
BLOCKS = (8, 16)


class _Timed(Timed):
    """The kernel's own nodes, read from the runtime's profile: not the nodes that stand around it.

    The profile itself takes some two microseconds a node: four fifths of what it reports for a node that does
    nothing are taken off (64 such nodes take 0.4 to 0.5 us each without it, 2 to 3 with it). An operation
    without a list of its own nodes is all nodes but those whose names begin with an underscore.
    """

    def __init__(self, folder: str, entry: dict, threads: int) -> None:
        import tempfile
        from pathlib import Path

        import numpy
        import onnxruntime

        self.ops, self.empty = set(entry["ops"]), entry["empty"]
        self.runs = 0
        self.scratch = tempfile.mkdtemp(prefix="profile-")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        options.enable_profiling = True
        options.profile_file_prefix = str(Path(self.scratch, "run"))
        model = str(Path(folder, entry["files"][0]))
        self.session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        generator = numpy.random.default_rng(0)
        self.feeds = {
            value.name: generator.standard_normal(value.shape, dtype=numpy.float32)
            for value in self.session.get_inputs()
        }

    def run(self) -> None:
        self.session.run(None, self.feeds)
        self.runs += 1

    def samples_us(self) -> list[float]:
        import json
        import shutil
        from pathlib import Path

        events = json.loads(Path(self.session.end_profiling()).read_text())
        shutil.rmtree(self.scratch, ignore_errors=True)
        ran = [e for e in events if e.get("cat") == "Node" and e["name"].endswith("_kernel_time")]
        times = [
            float(event["dur"])
            for event in ran
            if (not self.ops or event["args"]["op_name"] in self.ops) and not event["name"].startswith("_")
        ]
        nodes = len(times) // max(self.runs, 1)
        if nodes == 0 and not self.ops:
            return [0.0] * self.runs  # the runtime has found that nothing is to be done
        if nodes == 0:
            names = sorted({event["args"]["op_name"] for event in ran})
            raise RuntimeError(f"it runs as {', '.join(names)}, not as {', '.join(sorted(self.ops))}")
        # The lower quartile: as first node of a run, the empty one often also waits for code to be loaded.
        looks = sorted(float(event["dur"]) for event in ran if event["name"].startswith(self.empty))
        looking = 0.8 * nodes * looks[len(looks) // 4]
        return [max(sum(times[i : i + nodes]) - looking, 0.1) for i in range(0, len(times), nodes)]

    @staticmethod
    def version() -> str:
        import onnxruntime

        return str(onnxruntime.__version__)

    @classmethod
    def findings(cls, folder: str, probes: dict[str, str]) -> dict[str, Any]:
        """Channels in a block: those of the smallest pooling that the runtime reorders its input for."""
        for channels, name in sorted(probes.items(), key=lambda item: int(item[0])):
            probe = cls(folder, {"files": [name], "ops": ["ReorderInput"], "empty": ""}, 1)
            probe.run()
            try:
                probe.samples_us()
            except RuntimeError:
                continue
            return {"block": int(channels)}
        return {"block": 0}


class _Whole(Timed):
    """A finished model, timed by the clock, for inputs as its manifest says."""

    def __init__(self, folder: str, entry: dict, threads: int) -> None:
        from pathlib import Path

        import numpy
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        # Threads that wait for this model's next run would take the cores of the model whose turn it is.
        options.add_session_config_entry("session.force_spinning_stop", "1")
        model = str(Path(folder, entry["files"][0]))
        self.session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        generator = numpy.random.default_rng(0)
        self.feeds = {}
        for value in self.session.get_inputs():
            shape = entry["inputs"][value.name]
            self.feeds[value.name] = generator.standard_normal(shape, dtype=numpy.float32)

    def run(self) -> None:
        self.session.run(None, self.feeds)

    @staticmethod
    def version() -> str:
        import onnxruntime

        return str(onnxruntime.__version__)


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
    timed = _Timed
    whole = _Whole
    model_suffix = ".onnx"

    def __init__(self, block: int | None = None) -> None:
        self._block = block

    def on(self, target: Target) -> Runtime:
        return self if target.block is None else OnnxRuntime(target.block)

    def whole_job(self, model: Path, input_shape: tuple[int, ...] | None) -> Job:
        from latency_models.onnx_model import inputs_of

        content = model.read_bytes()
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
