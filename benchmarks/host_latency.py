"""Predicted against measured whole networks on this machine, onnxruntime, one thread (about four minutes).

python benchmarks/host_latency.py [HOME]

Thirty random plans of GoogLeNet (half of them of the paper's, with LRN) and ten variants each of ResNet-18,
MobileNetV2, SqueezeNet and AlexNet are exported and timed whole, side by side; the sums come from a table of
kernels measured one by one. With HOME the table is kept: a second run measures no kernel again.
"""

import itertools
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from rich.console import Console
from rich.table import Table
from scipy.stats import spearmanr
from torchvision.models import mobilenet_v2

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from latency_models.measure import side_by_side  # noqa: E402
from latency_models.runtimes.onnxruntime import session_of  # noqa: E402
from merges.network import Network, analyse  # noqa: E402
from search.latency import Device, Latencies  # noqa: E402
from search.setup import structure  # noqa: E402
from training.export import to_onnx  # noqa: E402

_GROUP = 10
_ROUNDS = 15


@dataclass
class Case:
    """One whole network, still to be measured."""

    family: str
    latencies: Latencies
    choices: dict[str, str]


class Result(NamedTuple):
    family: str
    predicted_ms: float
    measured_ms: float


def random_plan(network: Network, rng: random.Random) -> dict[str, str]:
    share = rng.choice((0.3, 0.6, 1.0))
    return {site.id: rng.choice(site.options) for site in network.sites if rng.random() < share}


def cases(device: Device) -> Iterator[Case]:
    rng = random.Random(0)
    for model in ("googlenet", "bvlc_googlenet"):
        latencies = Latencies(structure(model), device)
        for _ in range(15):
            yield Case("GoogLeNet", latencies, random_plan(latencies.network, rng))
    for family, model in (("ResNet-18", "resnet18"), ("SqueezeNet", "squeezenet1_1"), ("AlexNet", "alexnet")):
        for number in range(10):
            latencies = Latencies(structure(model, 128 + 16 * number), device)
            yield Case(family, latencies, random_plan(latencies.network, rng))
    for number in range(10):
        model = mobilenet_v2(width_mult=0.4 + 0.1 * number).eval()
        network = analyse("mobilenet_v2", model, (3, 128 + 16 * (number % 7), 128 + 16 * (number % 7)))
        yield Case("MobileNetV2", Latencies(network, device), {})


def measure_whole(some: list[Case], folder: Path) -> Iterator[Result]:
    """Export and time some networks side by side."""
    runs = []
    for number, case in enumerate(some):
        network = case.latencies.network
        path = folder / f"{number}.onnx"
        to_onnx(network.merged(case.choices), network.input_shape, path)
        session = session_of(str(path), 1)
        image = np.random.default_rng(0).standard_normal((1, *network.input_shape), dtype=np.float32)
        feeds = {session.get_inputs()[0].name: image}
        runs.append(lambda session=session, feeds=feeds: session.run(None, feeds))
    for case, (median_us, _) in zip(some, side_by_side(runs, _ROUNDS), strict=True):
        yield Result(case.family, case.latencies.score(case.choices).latency_ms, median_us / 1000)


def main() -> None:
    results: list[Result] = []
    count, seconds = 0, 0.0
    with tempfile.TemporaryDirectory() as scratch:
        device = Device.named("host", Path(sys.argv[1]) if len(sys.argv) > 1 else Path(scratch))
        listed = cases(device)
        while some := list(itertools.islice(listed, _GROUP)):
            start = time.perf_counter()
            for case in some:
                for choices in (case.choices, {}):
                    count += case.latencies.learn(k.kernel for k in case.latencies.layers(choices))
            seconds += time.perf_counter() - start
            results += measure_whole(some, Path(scratch))
    print(f"{count} kernels measured in {seconds:.0f} s, {len(device.table)} known")
    table = Table(title="host, onnxruntime, one thread: sum of kernels against the whole network")
    for heading in ("networks", "count", "ms", "mean error %", "worst %", "bias %", "Spearman"):
        table.add_column(heading, justify="left" if heading == "networks" else "right")
    for family in (*dict.fromkeys(result.family for result in results), "all"):
        kept = [result for result in results if family in (result.family, "all")]
        predicted = np.array([result.predicted_ms for result in kept])
        measured = np.array([result.measured_ms for result in kept])
        errors = 100 * (predicted / measured - 1)
        table.add_row(
            family,
            str(len(kept)),
            f"{measured.min():.1f}-{measured.max():.1f}",
            f"{np.abs(errors).mean():.2f}",
            f"{errors[np.abs(errors).argmax()]:+.1f}",
            f"{errors.mean():+.2f}",
            f"{spearmanr(predicted, measured).statistic:.4f}",
        )
    Console().print(table)


if __name__ == "__main__":
    main()
