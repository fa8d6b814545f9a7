"""What a plan found for one target is worth on the others (README's network and digits; half an hour).

A search for every target, each with the same budget and seed; of each front the fastest plan that loses at
most two points before training; and every such plan priced on every target.

python benchmarks/across_targets.py [--targets arm-a57,host,...] [--budget 100] [--home HOME]
"""

import argparse
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parents[1]))

import rebirth
from search.commands import terminal
from search.results.planfile import PlanFile
from search.scoring.device import Device
from search.scoring.latency import Latencies
from training.progress import Watch
from training.workbench import structure

_TARGETS = ("arm-a57", "arm-a57-ncnn", "arm-a57-onnxruntime", "raspberry-pi-4", "host")
_MAX_DROP = 2.0  # points
_NETWORK, _SIZE, _CLASSES = "googlenet", 64, 10  # of the search's defaults


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--targets", default=",".join(_TARGETS))
    parser.add_argument("--budget", type=int, default=100)
    parser.add_argument("--home", type=Path, default=Path("studies/across-targets"))
    given = parser.parse_args()
    targets = given.targets.split(",")
    with terminal.bars() as watch:
        plans = {target: _found(target, given.budget, given.home, watch) for target in targets}
    Console(width=160).print(matrix(plans, given.home))


def _found(target: str, budget: int, home: Path, watch: Watch) -> PlanFile:
    study = rebirth.search(home, None, watch, terminal.note, target=target, budget=budget)
    return rebirth.plan(study, max_drop=_MAX_DROP)


def matrix(plans: dict[str, PlanFile], home: Path) -> Table:
    """Speed-ups on every target (columns), in brackets the share of what that target's own plan has."""
    table = Table(title=f"{_NETWORK} at {_SIZE} pixels: speed-ups on all targets of plans found for one")
    for heading in ("found for", "drop", *plans):
        table.add_column(heading, justify="left" if heading == "found for" else "right")
    network = structure(_NETWORK, _SIZE, _CLASSES)
    scorers = {target: Latencies(network, Device.named(target, home)) for target in plans}
    own = {target: scorers[target].score(plan.choices).speedup for target, plan in plans.items()}
    for target, plan in plans.items():
        found = {other: scorer.score(plan.choices).speedup for other, scorer in scorers.items()}
        cells = (f"{speedup:.2f}x ({100 * speedup / own[other]:.0f} %)" for other, speedup in found.items())
        table.add_row(target, f"{plan.drop:.1f}", *cells)
    return table


if __name__ == "__main__":
    main()
