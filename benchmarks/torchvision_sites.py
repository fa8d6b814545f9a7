"""Every classification network of torchvision: sites by rule and predicted speed-ups, or the reason for none.

python benchmarks/torchvision_sites.py [--target arm-a57] [--low-rank] [MODEL ...]

``exact`` takes the exact options that pay, ``everything`` the fastest option at every site (accuracy is not
looked at); ``seconds`` are for finding the sites and scoring them, ``measuring s`` for timing their kernels
where the target is this machine. About seven minutes on arm-a57, half an hour on host.
"""

import argparse
import gc
import sys
import tempfile
import time
import warnings
from collections import Counter
from pathlib import Path

import torchvision
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from latency_models.kit import NotMeasurableError  # noqa: E402
from latency_models.predict import UnknownKernelError  # noqa: E402
from merges.network import Network  # noqa: E402
from search.scoring.availability import priced  # noqa: E402
from search.scoring.device import Device  # noqa: E402
from search.scoring.latency import Latencies  # noqa: E402
from search.space.warm_start import fastest, lossless  # noqa: E402
from training.errors import BadInputError  # noqa: E402
from training.workbench import structure  # noqa: E402

_NUMBERS = ("seconds", "measuring s", "ms", "exact", "everything")


def rows(model: str, device: Device, low_rank: bool) -> tuple[str, ...]:
    """The cells of one network's row."""
    start = time.perf_counter()
    try:
        network = structure(model, low_rank=low_rank)
    except BadInputError as error:
        return "", f"{time.perf_counter() - start:.0f}", "", "", "", "", str(error)[:90]
    sites = " ".join(f"{rule}:{n}" for rule, n in sorted(Counter(s.rule for s in network.sites).items()))
    measuring = 0.0
    try:
        (latencies,) = priced(network, [device])
        begin = time.perf_counter()
        latencies.learn_all(lambda what: lambda done, total: None)
        measuring = time.perf_counter() - begin
        cells = speedups(latencies)
    except (UnknownKernelError, NotMeasurableError) as error:
        cells = ("", "", "", str(error).split(",")[0][:90])
    if not network.sites:
        cells = (*cells[:3], reason(network))
    return sites, f"{time.perf_counter() - start - measuring:.0f}", f"{measuring:.0f}", *cells


def speedups(latencies: Latencies) -> tuple[str, str, str, str]:
    untouched = latencies.score({})
    exact = latencies.score(lossless(latencies))
    everything = latencies.score(fastest(latencies, latencies.network.sites))
    return f"{untouched.latency_ms:.1f}", f"{exact.speedup:.2f}x", f"{everything.speedup:.2f}x", ""


def reason(network: Network) -> str:
    """Why nothing can be merged."""
    if not network.refused:
        return "no layers that any rule knows stand together"
    (rule, why), count = Counter((r.rule, r.reason) for r in network.refused).most_common(1)[0]
    return f"{rule} ({count} places): {why}"[:90]


def main() -> None:
    warnings.simplefilter("ignore")
    parser = argparse.ArgumentParser()
    parser.add_argument("--target", default="arm-a57")
    parser.add_argument("--low-rank", action="store_true")
    parser.add_argument("models", nargs="*")
    given = parser.parse_args()
    table = Table(title=f"torchvision's classification networks on {given.target}")
    for heading in ("network", "sites by rule", *_NUMBERS, "reason"):
        table.add_column(
            heading, justify="left" if heading in ("network", "sites by rule", "reason") else "right"
        )
    with tempfile.TemporaryDirectory() as home:
        device = Device.named(given.target, Path(home))
        for model in given.models or torchvision.models.list_models(module=torchvision.models):
            cells = rows(model, device, given.low_rank)
            table.add_row(model, *cells)
            print(model, *cells, sep=" | ", file=sys.stderr)
            gc.collect()  # networks hold themselves
    Console(width=200).print(table)


if __name__ == "__main__":
    main()
