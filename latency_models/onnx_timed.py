"""How ONNX Runtime's kernels and models are run, here and on boards; see ``runtimes/onnxruntime.py``."""

from __future__ import annotations

from typing import Any

from latency_models.board.timed import Timed


class OneKernelTimed(Timed):
    """The kernel's own nodes, read from the runtime's profile: not the nodes that stand around it.

    The profile itself takes some two microseconds a node: four fifths of what it reports for a node that does
    nothing are taken off (64 nodes take 0.4 us each without it and 2.0 with it where they have one input, 0.5
    and 3.0 where they have two or three). An operation without a list of its own nodes is all nodes but those
    whose names begin with an underscore.
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
        # The middle half's mean: whole microseconds, as the profile has them, are too coarse for a median.
        looks = sorted(float(event["dur"]) for event in ran if event["name"].startswith(self.empty))
        middle = looks[len(looks) // 4 : len(looks) - len(looks) // 4]
        looking = 0.8 * nodes * sum(middle) / len(middle)
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


class WholeTimed(Timed):
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


class OneKernelCounted(Timed):
    """A model that has the kernel twice is run; looking for nothing runs the one that has it once."""

    def __init__(self, folder: str, entry: dict, threads: int) -> None:
        from pathlib import Path

        import numpy
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = threads
        options.log_severity_level = 3
        self.once, self.twice = (
            onnxruntime.InferenceSession(str(Path(folder, name)), options, providers=["CPUExecutionProvider"])
            for name in entry["files"]
        )
        inputs = self.once.get_inputs()
        self.feeds = {value.name: numpy.full(value.shape, 0.5, "float32") for value in inputs}
        self.once.run(None, self.feeds)
        for _ in range(self.LOOKS):
            self._look(self.once)

    def _look(self, session: Any) -> None:
        import time

        time.perf_counter()
        session.run(None, self.feeds)
        time.perf_counter()

    def run(self) -> None:
        self._look(self.twice)

    @staticmethod
    def version() -> str:
        import onnxruntime

        return str(onnxruntime.__version__)
