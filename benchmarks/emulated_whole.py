"""Whole networks under the emulator beside the sums of their kernels (by ``emulated.py --whole``)."""

import sys
import tempfile
from pathlib import Path

import numpy as np
from rich.table import Table
from torch import fx

sys.path.insert(0, str(Path(__file__).parents[1]))

from latency_models.emulation import emulator
from latency_models.emulation.counts import INSTRUCTIONS
from latency_models.emulation.work import Worker
from latency_models.kernel import Kernel
from latency_models.ncnn_model import ends_of
from latency_models.target import load
from merges.plan import Plan
from search.deploy.to_ncnn import to_ncnn
from search.scoring.device import Device
from search.scoring.latency import Latencies
from search.space import presets
from training.export import to_onnx
from training.workbench import structure

_TARGETS = ("arm-a57-ncnn", "arm-a57-onnxruntime")
_NETWORKS = {"bvlc_googlenet": ("", "paper"), "resnet18": ("", "merged"), "mobilenet_v2": ("", "merged")}
_SHAPE = (3, 224, 224)
_PROGRAMS = {
    "ncnn": """
import os, ncnn, numpy
net = ncnn.Net()
net.opt.num_threads = 1
for half in ("use_fp16_packed", "use_fp16_storage", "use_fp16_arithmetic", "use_bf16_storage"):
    setattr(net.opt, half, False)
net.load_param("net.param")
net.load_model("net.bin")
given = numpy.full((3, 224, 224), 0.5, "float32")
image = ncnn.Mat(given).clone()
for _ in range(3):
    extractor = net.create_extractor()
    extractor.input("{source}", image)
    os.getppid()
    extractor.extract("{end}")
    os.getppid()
""",
    "onnxruntime": """
import os, numpy, onnxruntime
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = options.inter_op_num_threads = 1
session = onnxruntime.InferenceSession("net.onnx", options, providers=["CPUExecutionProvider"])
image = {{session.get_inputs()[0].name: numpy.full((1, 3, 224, 224), 0.5, "float32")}}
for _ in range(3):
    os.getppid()
    session.run(None, image)
    os.getppid()
""",
}


def sums() -> Table:
    """Instructions of every network as a whole, and as the sum of its kernels."""
    table = Table(title="instructions of whole networks, million, beside the sums of their kernels")
    for heading in ("runtime", "network", "plan", "whole", "sum", "difference %", "of its kernels counted"):
        table.add_column(heading, justify="right")
    for target in map(load, _TARGETS):
        worker = Worker(target.runtime, half=False)
        for name, plans in _NETWORKS.items():
            for plan in plans:
                network, kernels = _merged(name, plan, target.name)
                whole = _whole(network, target.runtime)
                total = sum(float(worker.counts_of(kernel)[:INSTRUCTIONS].sum()) for kernel in kernels)
                counted = f"{sum(kernel in worker.counts for kernel in kernels)} of {len(kernels)}"
                row = (
                    f"{whole / 1e6:.1f}",
                    f"{total / 1e6:.1f}",
                    f"{100 * (total / whole - 1):+.1f}",
                    counted,
                )
                table.add_row(target.runtime, name, plan or "untouched", *row)
    return table


def _merged(name: str, plan: str, target: str) -> tuple[fx.GraphModule, list[Kernel]]:
    """A network with a plan, and its kernels; `merged` takes the last option of every second site."""
    network = structure(name)
    with tempfile.TemporaryDirectory() as home:
        latencies = Latencies(network, Device.named(target, Path(home)))
        choices = presets.preset("paper", network) if plan == "paper" else {}
        if plan == "merged":
            choices = {site.id: site.names[-1] for site in network.sites[::2]}
        made = Plan.make(network, choices)
        return network.merged(made), [layer.kernel for layer in latencies.layers(made)]


def _whole(network: fx.GraphModule, runtime: str) -> int:
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        to_onnx(network, _SHAPE, folder / "net.onnx")
        source, end = "", ""
        if runtime == "ncnn":
            to_ncnn(folder / "net.onnx", _SHAPE, folder / "net.param")
            (source,), (end, *_) = ends_of((folder / "net.param").read_text())
        (folder / "whole.py").write_text(_PROGRAMS[runtime].format(source=source, end=end))
        emulator.Emulator(emulator.folder()).python(["whole.py"], folder)
        readings = np.loadtxt(folder / emulator.COUNTS, dtype=np.int64)[:, :INSTRUCTIONS].sum(axis=1)
        return int(readings[5] - readings[4])
