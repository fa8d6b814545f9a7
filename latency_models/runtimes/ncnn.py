"""ncnn on the CPU: fuses activations into convolutions and fully connected layers, drops dropout.

Batch norms are folded by its optimiser; flattening shares memory. Each kernel is timed behind a cheap layer
that has just written its inputs and packed their channels, as a layer of a network finds them.
"""

from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from latency_models.board.timed import Timed
from latency_models.kernel import Kernel, Layer
from latency_models.ncnn_model import MAGIC, ends_of, layer_of
from latency_models.pnnx import ConversionError, converted
from latency_models.runtime import Job, Runtime, drop_free, fuse_activations

_FREE = {"flatten", "identity", "part", "dropout"}

_INTO_CONVOLUTIONS = ("relu", "relu6", "leakyrelu", "sigmoid", "mish", "hardswish")


class _Timed(Timed):
    """One layer of a network, timed from outside: what asking for a finished map costs is taken off."""

    AS_IT_IS = 1  # ncnn then leaves channels packed

    def __init__(self, folder: str, entry: dict, threads: int) -> None:
        import tempfile
        from pathlib import Path

        import ncnn
        import numpy

        self.times: list[float] = []
        self.output, self.ready = "y", entry.get("ready", list(entry["inputs"]))
        self.net = ncnn.Net()
        self.net.opt.num_threads = threads
        self.net.opt.use_vulkan_compute = False
        for half in ("use_fp16_packed", "use_fp16_storage", "use_fp16_arithmetic", "use_bf16_storage"):
            setattr(self.net.opt, half, entry.get("half", False) and half != "use_bf16_storage")
        if self.net.load_param(str(Path(folder, entry["files"][0]))) != 0:
            raise RuntimeError("ncnn cannot read its network")
        if len(entry["files"]) > 1:
            self.net.load_model(str(Path(folder, entry["files"][1])))
            self.output = entry["output"]
        with tempfile.NamedTemporaryFile(suffix=".bin") as weights:
            for tagged, count in entry["weights"]:
                weights.write((b"\0\0\0\0" if tagged else b"") + numpy.full(count, 0.01, "float32").tobytes())
            weights.write(b"\0" * 4)
            weights.flush()
            if len(entry["files"]) == 1:
                self.net.load_model(weights.name)
        shapes = entry["inputs"].items()
        given = {k: numpy.full(s, 0.5, "float32") for k, s in shapes}  # a Mat does not keep what it views
        self.inputs = [(name, ncnn.Mat(values).clone()) for name, values in given.items()]
        self.call_us = min(self._time_us(self.ready[0]) for _ in range(self.LOOKS))

    def _time_us(self, output: str) -> float:
        import time

        extractor = self.net.create_extractor()
        for name, value in self.inputs:
            extractor.input(name, value)
        for name in self.ready:
            extractor.extract(name, self.AS_IT_IS)
        start = time.perf_counter()
        code, _ = extractor.extract(output, self.AS_IT_IS)
        took_us = (time.perf_counter() - start) * 1e6
        if code != 0:
            raise RuntimeError(f"ncnn failed with code {code}")
        return took_us

    def run(self) -> None:
        self.times.append(self._time_us(self.output))

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
        given = {  # a Mat does not keep what it views
            name: generator.standard_normal(shape, dtype=numpy.float32)
            for name, shape in entry["inputs"].items()
        }
        self.inputs = {name: ncnn.Mat(values).clone() for name, values in given.items()}

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
    timed = counted = _Timed
    whole = _Whole
    model_suffix = ".param"

    def fuse(self, layers: Sequence[Layer]) -> list[Layer]:
        return fuse_activations(drop_free(layers, _FREE), into={"conv", "linear"}, which=_INTO_CONVOLUTIONS)

    def job(self, kernel: Kernel) -> Job:
        if kernel.model is not None:
            return _converted(kernel)
        inputs: dict[str, tuple[int, ...]]
        if kernel.op == "concat":
            inputs = {f"x{i}": (c, *kernel.out_shape[1:]) for i, c in enumerate(kernel.parts)}
        elif kernel.op in ("add", "mul"):
            inputs = {"x0": kernel.in_shape, "x1": kernel.in_shape}
        elif kernel.op == "gate":
            inputs = {"x0": kernel.in_shape, "x1": (kernel.in_shape[0], 1, 1)}
        else:
            inputs = {"x": kernel.in_shape if kernel.op != "linear" else kernel.in_shape[:1]}
        kind, options = layer_of(kernel)
        outputs = ["y", *(f"y{i}" for i in range(1, len(kernel.parts)) if kernel.op == "split")]
        lines = [f"Input {name} 0 1 {name}" for name in inputs]
        ready = [f"ready_{name}" for name in inputs]
        lines += [f"ReLU {end} 1 1 {name} {end}" for name, end in zip(inputs, ready, strict=True)]
        ends = " ".join((*ready, *outputs))
        lines.append(f"{kind} y {len(inputs)} {len(outputs)} {ends} {options}".rstrip())
        count = 2 * len(inputs) + len(outputs)
        text = "\n".join([MAGIC, f"{len(lines)} {count}", *lines, ""])
        weights: list[tuple[bool, int]] = []
        if kernel.op in ("conv", "linear"):
            weights = [(True, kernel.parameters - kernel.out_shape[0]), (False, kernel.out_shape[0])]
        elif kernel.op == "batchnorm":
            weights = [(False, kernel.in_shape[0])] * 4
        details = {"inputs": inputs, "ready": ready, "weights": weights}
        return Job({".param": text.encode()}, details)

    def whole_job(self, model: Path, input_shape: tuple[int, ...] | None) -> Job:
        text = model.read_text()
        details = _ends(text, input_shape)
        return Job({".param": text.encode(), ".bin": model.with_suffix(".bin").read_bytes()}, details)

    def network_job(self, network: Kernel) -> Job:
        assert network.model is not None
        param, weights = converted(network.model(), [(1, *network.in_shape)])
        return Job({".param": param, ".bin": weights}, _ends(param.decode(), network.in_shape))

    def version(self) -> str:
        try:
            return version("ncnn")
        except PackageNotFoundError:
            return "not installed here"


def _ends(param: str, input_shape: tuple[int, ...] | None) -> dict[str, Any]:
    """What a whole network takes and gives."""
    inputs, outputs = ends_of(param)
    if input_shape is None or len(inputs) != 1:
        raise NotImplementedError("ncnn's files do not say how large their input is: give `input_size`")
    return {"inputs": {inputs[0]: input_shape}, "outputs": outputs}


def _converted(kernel: Kernel) -> Job:
    """An operation as it stands in its network, converted alone."""
    import onnx

    assert kernel.model is not None
    content = kernel.model()
    inputs = onnx.load_model_from_string(content).graph.input
    shapes = [[side.dim_value for side in one.type.tensor_type.shape.dim] for one in inputs]
    try:
        param, weights = converted(content, shapes)
    except ConversionError as error:
        raise NotImplementedError(f"operation {kernel.op!r} cannot be converted: {error}") from error
    names, outputs = ends_of(param.decode())
    if len(names) != len(shapes) or not outputs:
        raise NotImplementedError(f"operation {kernel.op!r} becomes nothing that can be timed alone")
    given = {name: shape[1:] for name, shape in zip(names, shapes, strict=True)}
    return Job({".param": param, ".bin": weights}, {"inputs": given, "weights": [], "output": outputs[0]})


RUNTIME = Ncnn()
