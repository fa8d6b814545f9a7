"""ncnn on the CPU: fuses activations into convolutions and fully connected layers, drops dropout.

Batch norms are folded by its optimiser; flattening shares memory. Each kernel is timed as a network of
one layer, on plain maps: packing of channels, which ncnn does inside its layers, is part of the time.

Where no kernel was measured, only whole networks, a kernel's time is a sum of counts of work that a
calibration prices. A dozen networks cannot price this many kinds of work on their own, so prices start from
ratios (one multiply-accumulate of a 1x1 convolution is 1) and move away from them only as far as the timings
ask.
"""

import math
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np

from latency_models.board.timed import Timed
from latency_models.kernel import Kernel, Layer
from latency_models.ncnn_model import MAGIC, ends_of, layer_of
from latency_models.runtime import Job, Runtime, drop_free, fuse_activations

_FREE = {"flatten", "identity", "part", "dropout"}

# Winograd F(6x6, 3x3) multiplies a fifth as often, but transforms every value it reads and makes; a
# depthwise convolution reuses nothing; a fully connected layer waits for 4 bytes of weights at every
# multiplication; a local response norm takes a power of every value.
_RATIOS = {
    "3x3 macs": 0.2,
    "3x3 values": 40.0,
    "1x1 macs": 1.0,
    "other macs": 1.1,
    "depthwise macs": 2.5,
    "grouped macs": 1.2,
    "values read": 4.0,
    "values made": 6.0,
    "weights": 2.0,
    "linear weights": 4.0,
    "pooled values": 2.0,
    "elementwise values": 8.0,
    "normed values": 100.0,
    "kernels": 2e4,
}
_ELEMENTWISE = ("relu", "relu6", "add", "concat")
_COUNTED = ("conv", "linear", "maxpool", "avgpool", "mean", "lrn", *_ELEMENTWISE)


class _Timed(Timed):
    """A network of one layer, timed from outside: what calling an empty network costs is taken off."""

    def __init__(self, folder: str, entry: dict, threads: int) -> None:
        import tempfile
        from pathlib import Path

        import ncnn
        import numpy

        self.times: list[float] = []
        self.net = ncnn.Net()
        self.net.opt.num_threads = threads
        self.net.opt.use_vulkan_compute = False
        for half in ("use_fp16_packed", "use_fp16_storage", "use_fp16_arithmetic", "use_bf16_storage"):
            setattr(self.net.opt, half, False)
        if self.net.load_param(str(Path(folder, entry["files"][0]))) != 0:
            raise RuntimeError("ncnn cannot read its network")
        with tempfile.NamedTemporaryFile(suffix=".bin") as weights:
            for tagged, count in entry["weights"]:
                weights.write((b"\0\0\0\0" if tagged else b"") + numpy.full(count, 0.01, "float32").tobytes())
            weights.write(b"\0" * 4)
            weights.flush()
            self.net.load_model(weights.name)
        shapes = entry["inputs"].items()
        self.inputs = [(k, ncnn.Mat(numpy.full(s, 0.5, "float32")).clone()) for k, s in shapes]
        self.call_us = min(self._time_us(self.inputs[0][0]) for _ in range(20))

    def _time_us(self, output: str) -> float:
        import time

        start = time.perf_counter()
        extractor = self.net.create_extractor()
        for name, value in self.inputs:
            extractor.input(name, value)
        code, _ = extractor.extract(output)
        if code != 0:
            raise RuntimeError(f"ncnn failed with code {code}")
        return (time.perf_counter() - start) * 1e6

    def run(self) -> None:
        self.times.append(self._time_us("y"))

    def samples_us(self) -> list[float]:
        return [max(us - self.call_us, 0.1) for us in self.times]

    @staticmethod
    def version() -> str:
        import ncnn

        return str(ncnn.__version__)


class _Whole(Timed):
    """A finished model (`.param` and `.bin`), timed by the clock, in single precision."""

    def __init__(self, folder: str, entry: dict, threads: int) -> None:
        from pathlib import Path

        import ncnn
        import numpy

        self.net = ncnn.Net()
        self.net.opt.num_threads = threads
        self.net.opt.use_vulkan_compute = False
        for half in ("use_fp16_packed", "use_fp16_storage", "use_fp16_arithmetic", "use_bf16_storage"):
            setattr(self.net.opt, half, False)
        param, weights = (str(Path(folder, name)) for name in entry["files"])
        if self.net.load_param(param) != 0 or self.net.load_model(weights) != 0:
            raise OSError(f"ncnn cannot read {entry['id']}")
        self.outputs = entry["outputs"]
        generator = numpy.random.default_rng(0)
        self.inputs = {
            name: ncnn.Mat(generator.standard_normal(shape, dtype=numpy.float32)).clone()
            for name, shape in entry["inputs"].items()
        }

    def run(self) -> None:
        self.answers()

    def answers(self) -> list:
        """The model's answers to its inputs."""
        import numpy

        extractor = self.net.create_extractor()
        for name, value in self.inputs.items():
            extractor.input(name, value)
        return [numpy.array(extractor.extract(name)[1]) for name in self.outputs]

    @staticmethod
    def version() -> str:
        import ncnn

        return str(ncnn.__version__)


class Ncnn(Runtime):
    name = "ncnn"
    timed = _Timed
    whole = _Whole
    model_suffix = ".param"
    ratios = _RATIOS
    counted = _COUNTED

    def fuse(self, layers: Sequence[Layer]) -> list[Layer]:
        return fuse_activations(drop_free(layers, _FREE), into={"conv", "linear"}, which={"relu", "relu6"})

    def job(self, kernel: Kernel) -> Job:
        inputs: dict[str, tuple[int, ...]]
        if kernel.op == "concat":
            inputs = {f"x{i}": (c, *kernel.out_shape[1:]) for i, c in enumerate(kernel.parts)}
        elif kernel.op == "add":
            inputs = {"x0": kernel.in_shape, "x1": kernel.in_shape}
        else:
            inputs = {"x": kernel.in_shape if kernel.op != "linear" else kernel.in_shape[:1]}
        kind, options = layer_of(kernel)
        lines = [f"Input {name} 0 1 {name}" for name in inputs]
        lines.append(f"{kind} y {len(inputs)} 1 {' '.join(inputs)} y {options}".rstrip())
        text = "\n".join([MAGIC, f"{len(lines)} {len(lines)}", *lines, ""])
        weights = [(True, kernel.parameters - kernel.out_shape[0]), (False, kernel.out_shape[0])]
        details = {"inputs": inputs, "weights": weights if kernel.macs else []}
        return Job({".param": text.encode()}, details)

    def whole_job(self, model: Path, input_shape: tuple[int, ...] | None) -> Job:
        text = model.read_text()
        inputs, outputs = ends_of(text)
        if input_shape is None or len(inputs) != 1:
            raise NotImplementedError("ncnn's files do not say how large their input is: give `input_size`")
        files = {".param": text.encode(), ".bin": model.with_suffix(".bin").read_bytes()}
        return Job(files, {"inputs": {inputs[0]: input_shape}, "outputs": outputs})

    def version(self) -> str:
        try:
            return version("ncnn")
        except PackageNotFoundError:
            return "not installed here"

    def work(self, kernel: Kernel) -> np.ndarray:
        counts = dict.fromkeys(_RATIOS, 0.0) | {"kernels": 1.0}
        read, made = math.prod(kernel.in_shape), math.prod(kernel.out_shape)
        if kernel.op == "conv":
            counts[_kind_of_convolution(kernel)] += kernel.macs
            counts["3x3 values"] += (read + made) * (counts["3x3 macs"] > 0)
            counts["values read"] += read
            counts["values made"] += made
            counts["weights"] += kernel.parameters
        elif kernel.op == "linear":
            counts["linear weights"] += kernel.parameters
        elif kernel.op in ("maxpool", "avgpool", "mean"):
            counts["pooled values"] += made * math.prod(kernel.window)
        elif kernel.op == "lrn":
            counts["normed values"] += read
        elif kernel.op in _ELEMENTWISE:
            counts["elementwise values"] += read * (2 if kernel.op == "add" else 1)
        else:
            raise LookupError(kernel.op)
        return np.array(list(counts.values()))


def _kind_of_convolution(kernel: Kernel) -> str:
    if kernel.groups == kernel.in_shape[0] == kernel.out_shape[0] and kernel.groups > 1:
        return "depthwise macs"
    if kernel.groups > 1:
        return "grouped macs"
    if kernel.window == (1, 1):
        return "1x1 macs"
    return "3x3 macs" if kernel.window == (3, 3) and kernel.stride == (1, 1) else "other macs"


RUNTIME = Ncnn()
