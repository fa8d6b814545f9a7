"""Predicted against measured whole networks on this machine, onnxruntime, one thread (about five minutes).

python benchmarks/host_latency.py [HOME]

Thirty random plans of GoogLeNet (half of them of the paper's, with LRN), ten of it at 64 pixels (half of them
narrowed to 0.5) and ten variants each of ResNet-18, MobileNetV2, SqueezeNet and AlexNet are exported and
timed whole, each alone as a user runs it, beside a reference kernel that takes the machine's drift out (as it
does for kernels); the sums come from a table of kernels measured one by one. Each is timed in three passes
over all networks, the middle one counts; the last column says how far the other passes lie from it. With HOME
the table is kept: a second run measures no kernel again.
"""

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

from latency_models.board.rounds import Reference, Turns, summary, take_turns  # noqa: E402
from latency_models.board.timed import Timed  # noqa: E402
from latency_models.kit import REFERENCE  # noqa: E402
from latency_models.onnx_model import one_kernel_model  # noqa: E402
from latency_models.runtimes.onnxruntime import session_of  # noqa: E402
from merges.network import Network, analyse  # noqa: E402
from search.scoring.device import Device  # noqa: E402
from search.scoring.latency import Latencies  # noqa: E402
from training.export import to_onnx  # noqa: E402
from training.workbench import structure  # noqa: E402

_PASSES, _ROUNDS = 3, 15


@dataclass
class Case:
    """One whole network, still to be measured."""

    family: str
    latencies: Latencies
    choices: dict[str, str]


class Result(NamedTuple):
    family: str
    predicted_ms: float
    passes_ms: tuple[float, ...]


def random_plan(network: Network, rng: random.Random) -> dict[str, str]:
    share = rng.choice((0.3, 0.6, 1.0))
    return {site.id: rng.choice(site.names) for site in network.sites if rng.random() < share}


def cases(device: Device) -> Iterator[Case]:
    rng = random.Random(0)
    for model in ("googlenet", "bvlc_googlenet"):
        latencies = Latencies(structure(model), device)
        for _ in range(15):
            yield Case("GoogLeNet", latencies, random_plan(latencies.network, rng))
    for narrow in (None, 0.5):
        latencies = Latencies(structure("googlenet", 64, 10, narrow=narrow), device)
        for _ in range(5):
            yield Case("GoogLeNet, 64 pixels", latencies, random_plan(latencies.network, rng))
    for family, model in (("ResNet-18", "resnet18"), ("SqueezeNet", "squeezenet1_1"), ("AlexNet", "alexnet")):
        for number in range(10):
            latencies = Latencies(structure(model, 128 + 16 * number), device)
            yield Case(family, latencies, random_plan(latencies.network, rng))
    for number in range(10):
        model = mobilenet_v2(width_mult=0.4 + 0.1 * number).eval()
        network = analyse("mobilenet_v2", model, (3, 128 + 16 * (number % 7), 128 + 16 * (number % 7)))
        yield Case("MobileNetV2", Latencies(network, device), {})


class Whole(Timed):
    """A model, ready to be timed from outside."""

    def __init__(self, model: bytes | str) -> None:
        self.session = session_of(model, 1)
        random_state = np.random.default_rng(0)
        self.feeds = {
            value.name: random_state.standard_normal(value.shape, dtype=np.float32)
            for value in self.session.get_inputs()
        }
        self.times_us: list[float] = []

    def run(self) -> None:
        start = time.perf_counter()
        self.session.run(None, self.feeds)
        self.times_us.append((time.perf_counter() - start) * 1e6)

    def samples_us(self) -> list[float]:
        return self.times_us


def measure_whole(path: Path, reference: Reference) -> float:
    """Milliseconds of an exported network, running alone."""
    whole = Turns(Whole(str(path)))
    samples_us = whole.samples_us(take_turns([whole], reference, 0, _ROUNDS))
    return float(summary(samples_us)["median_us"]) / 1000


def report(results: list[Result]) -> Table:
    """Errors of the sums against the middle pass, and how well the passes agree among themselves."""
    table = Table(title="host, onnxruntime, one thread: sum of kernels against the whole network")
    for heading in (
        "networks",
        "count",
        "ms",
        "mean error %",
        "worst %",
        "bias %",
        "Spearman",
        "passes +-%",
    ):
        table.add_column(heading, justify="left" if heading == "networks" else "right")
    for family in (*dict.fromkeys(result.family for result in results), "all"):
        kept = [result for result in results if family in (result.family, "all")]
        predicted = np.array([result.predicted_ms for result in kept])
        passes = np.array([result.passes_ms for result in kept])
        measured = np.median(passes, axis=1)
        errors = 100 * (predicted / measured - 1)
        table.add_row(
            family,
            str(len(kept)),
            f"{measured.min():.1f}-{measured.max():.1f}",
            f"{np.abs(errors).mean():.2f}",
            f"{errors[np.abs(errors).argmax()]:+.1f}",
            f"{errors.mean():+.2f}",
            f"{spearmanr(predicted, measured).statistic:.4f}",
            f"{100 * np.abs(passes / measured[:, None] - 1).mean() * _PASSES / (_PASSES - 1):.2f}",
        )
    return table


def main() -> None:
    count, seconds = 0, 0.0
    predicted: list[tuple[str, float]] = []
    with tempfile.TemporaryDirectory() as scratch:
        device = Device.named("host", Path(sys.argv[1]) if len(sys.argv) > 1 else Path(scratch))
        for case in cases(device):
            start = time.perf_counter()
            for choices in (case.choices, {}):
                count += case.latencies.learn(k.kernel for k in case.latencies.layers(choices))
            seconds += time.perf_counter() - start
            path = Path(scratch) / f"{len(predicted)}.onnx"
            to_onnx(case.latencies.network.merged(case.choices), case.latencies.network.input_shape, path)
            predicted.append((case.family, case.latencies.score(case.choices).latency_ms))
        reference = Reference(Whole(one_kernel_model(REFERENCE).SerializeToString()))
        passes = [
            [measure_whole(Path(scratch) / f"{number}.onnx", reference) for number in range(len(predicted))]
            for _ in range(_PASSES)
        ]
    times = zip(*passes, strict=True)
    results = [Result(*known, passes_ms) for known, passes_ms in zip(predicted, times, strict=True)]
    print(f"{count} kernels measured in {seconds:.0f} s, {len(device.table)} known")
    Console().print(report(results))


if __name__ == "__main__":
    main()
