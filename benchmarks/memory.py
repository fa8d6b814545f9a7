"""Predicted peak of the maps' memory beside onnxruntime's own (about a minute).

python benchmarks/memory.py
"""

import json
import sys
import tempfile
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from latency_models.runtimes.onnxruntime import session_of  # noqa: E402
from search.scoring.device import Device  # noqa: E402
from search.scoring.latency import Latencies  # noqa: E402
from training.export import to_onnx  # noqa: E402
from training.workbench import structure  # noqa: E402

MODELS = ("bvlc_googlenet", "googlenet", "resnet18", "mobilenet_v2", "squeezenet1_1", "alexnet")


def measured_bytes(path: Path, shape: tuple[int, int, int], scratch: Path) -> int:
    """Most bytes that the runtime holds for maps while its kernels run, by its own profile."""
    session = session_of(str(path), 1, str(scratch / "run"))
    image = np.zeros((1, *shape), np.float32)
    session.run(None, {session.get_inputs()[0].name: image})
    events = json.loads(Path(session.end_profiling()).read_text())
    kernels = [event["args"] for event in events if event["name"].endswith("_kernel_time")]
    in_use = [int(args["mem_bytes_requested_in_use"]) for args in kernels]
    before = in_use[0] - int(kernels[0]["mem_requested_in_use_delta"])  # weights
    return max(in_use) - before


def main() -> None:
    table = Table(title="peak memory of maps, one image")
    for heading in ("network", "predicted MB", "onnxruntime MB", "ratio"):
        table.add_column(heading, justify="left" if heading == "network" else "right")
    for model in MODELS:
        network = structure(model)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "m.onnx"
            to_onnx(network.teacher, network.input_shape, path)
            measured = measured_bytes(path, network.input_shape, Path(folder))
            predicted = Latencies(network, Device.named("host", Path(folder))).peak_bytes({})
        ratio = f"{predicted / measured:.2f}"
        table.add_row(model, f"{predicted / 1e6:.2f}", f"{measured / 1e6:.2f}", ratio)
    Console().print(table)


if __name__ == "__main__":
    main()
