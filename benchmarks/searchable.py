"""Which networks of a collection can be searched on a target, and how much faster they can get.

python benchmarks/searchable.py --set SET --out FILE.csv [--targets host,raspberry-pi-4] [NAME ...]

SET is as for zoo.py. Every kernel of the untouched network and of the plan with the fastest option at every
site must have a latency; on this machine (host) they are timed. ``TARGET`` is the speed-up of that plan, or
why there is none. The file holds a row for each network; run again, those that it has are left out. timm's 57
take an hour on one core, most of it to time kernels.
"""

import argparse
import csv
import gc
import sys
import tempfile
import warnings
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.zoo import collection, smallest_size, with_random_statistics  # noqa: E402
from latency_models.kit import NotMeasurableError  # noqa: E402
from latency_models.predict import UnknownKernelError  # noqa: E402
from merges.graph import TraceError  # noqa: E402
from merges.network import Network, analyse  # noqa: E402
from merges.rule import KEEP  # noqa: E402
from search.scoring.availability import priced  # noqa: E402
from search.scoring.device import Device  # noqa: E402
from search.scoring.latency import Latencies  # noqa: E402

PRICE_WITH = "raspberry-pi-4"  # the fastest options are chosen where scoring takes no measuring


def fastest(latencies: Latencies) -> dict[str, str]:
    """The fastest option alone at every site that is offered without being asked for."""
    plan = {}
    for site in latencies.network.sites:
        if not site.on_request:
            scores = {option: latencies.score({site.id: option}).latency_ms for option in site.names}
            plan[site.id] = min(scores, key=scores.__getitem__)
    return {site: option for site, option in plan.items() if option != KEEP}


def speedup(network: Network, target: str, home: Path) -> str:
    """The speed-up with the fastest option everywhere, or why it cannot be known."""
    try:
        (cheap,) = priced(network, [Device.named(PRICE_WITH, home)])
        plan = fastest(cheap)
        latencies = Latencies(cheap.network, Device.named(target, home))
        latencies.learn(layer.kernel for choices in ({}, plan) for layer in latencies.layers(choices))
        return f"{latencies.score(plan).speedup:.2f}x"
    except (UnknownKernelError, NotMeasurableError) as error:
        return " ".join(str(error).split())[:200]
    except Exception as error:
        return f"ERROR {type(error).__name__}: {error}"[:200]


def row_of(name: str, build: object, targets: list[str], home: Path) -> dict[str, str]:
    row = {"network": name, "size": "", "sites": ""}
    try:
        model = with_random_statistics(build(name))  # type: ignore[operator]
        size = smallest_size(model)
        network = analyse(name, model, (3, size, size))
    except TraceError as error:
        return row | dict.fromkeys(targets, f"refused: {error}"[:200])
    row |= {"size": str(size), "sites": str(sum(not site.on_request for site in network.sites))}
    return row | {target: speedup(network, target, home) for target in targets}


def main() -> None:
    warnings.simplefilter("ignore")
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--set", choices=("torchvision", "timm", "pytorchcv", "smp"), required=True)
    parser.add_argument("--targets", default=f"host,{PRICE_WITH}")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("names", nargs="*")
    given = parser.parse_args()
    torch.set_num_threads(1)
    known, build = collection(given.set)
    targets = given.targets.split(",")
    done = {row["network"] for row in read(given.out)}
    with tempfile.TemporaryDirectory() as home:
        for name in (name for name in given.names or known if name not in done):
            row = row_of(name, build, targets, Path(home))
            with given.out.open("a", newline="") as file:
                writer = csv.DictWriter(file, list(row))
                if file.tell() == 0:
                    writer.writeheader()
                writer.writerow(row)
            print(*row.values(), sep=" | ", file=sys.stderr, flush=True)
            gc.collect()
    show(read(given.out), targets)


def read(path: Path) -> list[dict[str, str]]:
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def show(rows: list[dict[str, str]], targets: list[str]) -> None:
    table = Table()
    for heading in rows[0]:
        table.add_column(heading, overflow="fold")
    for row in rows:
        table.add_row(*row.values())
    Console(width=160).print(table)
    for target in targets:
        print(f"{target}: {sum(row[target].endswith('x') for row in rows)} of {len(rows)} can be searched")


if __name__ == "__main__":
    main()
