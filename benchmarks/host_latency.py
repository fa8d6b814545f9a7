"""Predicted against measured whole networks on this machine, one thread (about ten minutes).

python benchmarks/host_latency.py [--target host|host-ncnn] [--home HOME]

Thirty random plans of GoogLeNet (half of them of the paper's, with LRN), ten of it at 64 pixels (half of them
narrowed to 0.5) and ten each of ResNet-18, MobileNetV2, SqueezeNet and AlexNet, in five sizes, are exported
and timed whole, as ``bench`` does; the sums come from a table of kernels measured one by one, scaled by that
of the untouched network in one piece. Each is timed in three passes over all networks, the middle one counts;
the last column says how far the other passes lie from it. With --home the table is kept: a second run
measures no kernel again.
"""

import argparse
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

from latency_models.measure import files_in_turn  # noqa: E402
from latency_models.runtime import Runtime  # noqa: E402
from merges.network import Network, analyse  # noqa: E402
from search.deploy.to_ncnn import to_ncnn  # noqa: E402
from search.scoring.device import Device  # noqa: E402
from search.scoring.latency import Latencies  # noqa: E402
from training.export import to_onnx  # noqa: E402
from training.workbench import structure  # noqa: E402

_PASSES = 3


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
        for number in range(5):
            latencies = Latencies(structure(model, 128 + 32 * number), device)
            for _ in range(2):
                yield Case(family, latencies, random_plan(latencies.network, rng))
    for number in range(5):
        side = 96 + 32 * number
        model = mobilenet_v2(width_mult=0.4 + 0.2 * number).eval()
        latencies = Latencies(analyse("mobilenet_v2", model, (3, side, side)), device)
        for _ in range(2):
            yield Case("MobileNetV2", latencies, random_plan(latencies.network, rng))


def exported(case: Case, path: Path) -> Path:
    """The file of a case's network for its runtime; `path` is that of the ONNX file."""
    network = case.latencies.network
    to_onnx(network.merged(case.choices), network.input_shape, path)
    if case.latencies.device.runtime.model_suffix == path.suffix:
        return path
    to_ncnn(path, network.input_shape, path.with_suffix(".param"))
    path.unlink()
    return path.with_suffix(".param")


def measure_whole(runtime: Runtime, path: Path, input_shape: tuple[int, ...]) -> float:
    """Milliseconds of an exported network, as ``bench`` times it."""
    [(median_us, _)] = files_in_turn(runtime, [path], input_shape, threads=1)
    return median_us / 1000


def report(target: str, results: list[Result]) -> Table:
    """Errors of the sums against the middle pass, and how well the passes agree among themselves."""
    table = Table(title=f"{target}, one thread: sum of kernels against the whole network")
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
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--target", choices=["host", "host-ncnn"], default="host")
    parser.add_argument("--home", type=Path)
    given = parser.parse_args()
    count, seconds = 0, 0.0
    predicted: list[tuple[str, float]] = []
    files: list[tuple[Path, tuple[int, ...]]] = []
    with tempfile.TemporaryDirectory() as scratch:
        device = Device.named(given.target, given.home or Path(scratch))
        for case in cases(device):
            start = time.perf_counter()
            for choices in (case.choices, {}):
                count += case.latencies.learn(k.kernel for k in case.latencies.layers(choices))
            seconds += time.perf_counter() - start
            path = exported(case, Path(scratch) / f"{len(predicted)}.onnx")
            files.append((path, case.latencies.network.input_shape))
            predicted.append((case.family, case.latencies.score(case.choices).latency_ms))
        passes = [[measure_whole(device.runtime, *file) for file in files] for _ in range(_PASSES)]
    times = zip(*passes, strict=True)
    results = [Result(*known, passes_ms) for known, passes_ms in zip(predicted, times, strict=True)]
    print(f"{count} kernels measured in {seconds:.0f} s, {len(device.table)} known")
    Console(width=120).print(report(given.target, results))


if __name__ == "__main__":
    main()
