"""The runtimes that can be timed on a board: one class each, found in ``BACKENDS``."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from typing import Callable, Dict, Protocol

Entry = dict  # one kernel of the manifest


class Timed(Protocol):
    """One kernel, ready to run."""

    def run(self) -> None: ...

    def samples_us(self) -> list[float]:
        """The kernel's own time in every run so far; ends its use."""
        ...


class OnnxRuntime:
    """The kernel's own nodes, read from the runtime's profile: not the nodes that stand around it.

    The profile itself takes some two microseconds a node: what it reports for a node that does nothing is
    taken off.
    """

    def __init__(self, folder: str, entry: Entry, threads: int) -> None:
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
        options.profile_file_prefix = os.path.join(self.scratch, "run")
        model = os.path.join(folder, entry["files"][0])
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
        with open(self.session.end_profiling()) as file:
            events = json.load(file)
        shutil.rmtree(self.scratch, ignore_errors=True)
        ran = [e for e in events if e.get("cat") == "Node" and e["name"].endswith("_kernel_time")]
        times = [
            float(event["dur"])
            for event in ran
            if event["args"]["op_name"] in self.ops and not event["name"].startswith("_")
        ]
        nodes = len(times) // max(self.runs, 1)
        if nodes == 0:
            names = sorted({event["args"]["op_name"] for event in ran})
            raise RuntimeError("it runs as %s, not as %s" % (", ".join(names), ", ".join(sorted(self.ops))))
        # The lower quartile: as first node of a run, the empty one often also waits for code to be loaded.
        looks = sorted(float(event["dur"]) for event in ran if event["name"].startswith(self.empty))
        looking = nodes * looks[len(looks) // 4]
        return [max(sum(times[i : i + nodes]) - looking, 0.1) for i in range(0, len(times), nodes)]


def block_of(folder: str, probes: Dict[str, str]) -> int:
    """Channels in a block: those of the smallest pooling that the runtime reorders its input for."""
    for channels, name in sorted(probes.items(), key=lambda item: int(item[0])):
        probe = OnnxRuntime(folder, {"files": [name], "ops": ["ReorderInput"], "empty": ""}, 1)
        probe.run()
        try:
            probe.samples_us()
        except RuntimeError:
            continue
        return int(channels)
    return 0


class Ncnn:
    """A network of one layer, timed from outside: what calling an empty network costs is taken off."""

    def __init__(self, folder: str, entry: Entry, threads: int) -> None:
        import ncnn
        import numpy

        self.times: list[float] = []
        self.net = ncnn.Net()
        self.net.opt.num_threads = threads
        self.net.opt.use_vulkan_compute = False
        for half in ("use_fp16_packed", "use_fp16_storage", "use_fp16_arithmetic", "use_bf16_storage"):
            setattr(self.net.opt, half, False)
        if self.net.load_param(os.path.join(folder, entry["files"][0])) != 0:
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
        start = time.perf_counter()
        extractor = self.net.create_extractor()
        for name, value in self.inputs:
            extractor.input(name, value)
        code, _ = extractor.extract(output)
        if code != 0:
            raise RuntimeError("ncnn failed with code %d" % code)
        return (time.perf_counter() - start) * 1e6

    def run(self) -> None:
        self.times.append(self._time_us("y"))

    def samples_us(self) -> list[float]:
        return [max(us - self.call_us, 0.1) for us in self.times]


class Constant:
    """The null backend: takes as long as its manifest says, runs nothing."""

    def __init__(self, folder: str, entry: Entry, threads: int) -> None:
        self.us, self.runs = float(entry["us"]), 0

    def run(self) -> None:
        self.runs += 1

    def samples_us(self) -> list[float]:
        return [self.us] * self.runs


BACKENDS: Dict[str, Callable[[str, Entry, int], Timed]] = {
    "onnxruntime": OnnxRuntime,
    "ncnn": Ncnn,
    "constant": Constant,
}
