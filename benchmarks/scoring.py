"""Seconds to measure the host's whole plan space, and plans scored a second (about two minutes).

python benchmarks/scoring.py
"""

import random
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from search.scoring.device import Device  # noqa: E402
from search.scoring.latency import Latencies  # noqa: E402
from search.space.problem import searched  # noqa: E402
from training.workbench import structure  # noqa: E402

_PLANS = 20_000


def main() -> None:
    table = Table(title="host: measuring every kernel that a plan can reach, then scoring random plans")
    for heading in ("network", "kernels", "listing s", "measuring s", "plans a second"):
        table.add_column(heading, justify="left" if heading == "network" else "right")
    rng = random.Random(0)
    for model in ("bvlc_googlenet", "googlenet"):
        with tempfile.TemporaryDirectory() as home:
            latencies = Latencies(structure(model), Device.named("host", Path(home)))
            start = time.perf_counter()
            kernels = latencies.reachable(lambda what: lambda done, total: None)
            listed = time.perf_counter()
            latencies.learn(kernels)
            measured = time.perf_counter()
            sites = searched(latencies.network)
            plans = [{site.id: rng.choice(site.names) for site in sites} for _ in range(_PLANS)]
            for block in latencies.network.blocks:  # every block's choices once: what a search soon knows
                for choices in block.all_choices():
                    latencies.score(choices)
            begin = time.perf_counter()
            for plan in plans:
                latencies.score(plan)
            rate = _PLANS / (time.perf_counter() - begin)
        seconds = (f"{listed - start:.0f}", f"{measured - listed:.0f}")
        table.add_row(model, str(len(kernels)), *seconds, f"{rate:,.0f}")
    Console().print(table)


if __name__ == "__main__":
    main()
