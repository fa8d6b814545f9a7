"""What plans of the best-known networks can reach at 224 pixels, beside the untouched network (minutes).

python benchmarks/ranges.py [--targets host,raspberry-pi-4] [--home studies] [NETWORK ...]

Networks of timm with random weights; low-rank factors are left out. Searched site by site, as before a search
begins; accuracy is not looked at.
"""

import argparse
import re
import sys
from collections import Counter
from pathlib import Path

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from merges.network import analyse  # noqa: E402
from search.scoring.availability import priced  # noqa: E402
from search.scoring.device import Device  # noqa: E402
from search.space.limits import Limits  # noqa: E402
from search.space.plan_space import PlanSpace  # noqa: E402
from training.progress import quiet, silent  # noqa: E402

NETWORKS = ("resnet18", "mobilenetv2_100", "mobilenetv3_large_100", "efficientnet_b0", "convnext_tiny")


def main() -> None:
    """Print a row for every network and target."""
    import timm

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("networks", nargs="*", default=NETWORKS)
    parser.add_argument("--targets", default="host,raspberry-pi-4")
    parser.add_argument("--home", type=Path, default=ROOT / "studies")
    given = parser.parse_args()
    table = Table()
    for heading in ("network", "sites", "target", "untouched ms", "fastest ms", "range"):
        table.add_column(heading, justify="right" if heading[-2:] == "ms" else "left")
    for name in given.networks:
        network = analyse(name, timm.create_model(name), (3, 224, 224)).restricted((), (), ("low_rank",))
        counts = Counter(site.rule for site in network.sites)
        rules = ", ".join(f"{rule} {count}" for rule, count in counts.most_common())
        for target in given.targets.split(","):
            (latencies,) = priced(network, [Device.named(target, given.home)])
            latencies.learn_all(silent)
            said = PlanSpace(latencies, quiet).reachable(Limits(), quiet)
            fastest = float(re.search(r"latency ([\d.]+) to", said)[1])  # type: ignore[index]
            untouched = latencies.score({}).latency_ms
            cells = (f"{untouched:.2f}", f"{fastest:.2f}", f"{untouched / fastest:.1f}x")
            table.add_row(name, rules, target, *cells)
    Console(width=160).print(table)


if __name__ == "__main__":
    main()
