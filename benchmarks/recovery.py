"""How well the accuracy of plans after training follows from that before it (seconds; nothing is trained).

The plans of ``rivals.py`` (12 passes) and ``recipe_trials.py`` (5 passes) that were trained, each left out in
turn: what it loses, and what the others say that it would, in percent of the untouched network's accuracy;
for some powers of the logarithm. ``search/results/recovery.py`` has the one that is used.

python benchmarks/recovery.py
"""

import json
import re
import sys
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from unittest import mock

import numpy as np
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from search.results import recovery  # noqa: E402

_POWERS = (1.0, 1.5, 2.0)
_CASES = ("googlenet", "mobilenet_v2")
_METHODS = ("ours", "merged")
_RESULTS = ROOT / "benchmarks/results"


def main() -> None:
    table = Table(
        title="lost in training, % of the untouched accuracy: found, and estimated from other plans"
    )
    for heading in ("case", "plan", "kept before %", "lost after %", *(f"power {p:g}" for p in _POWERS)):
        table.add_column(heading, justify="left" if heading in ("case", "plan") else "right")
    errors: list[list[float]] = []
    plans = [*_of_rivals(), *_of_recipes()]
    for case, found in groupby(plans, key=lambda plan: plan[0]):
        known = list(found)
        for number, (_, name, before, after) in enumerate(known):
            others = [kept for place, (_, _, *kept) in enumerate(known) if place != number]
            lost = [1 - _estimate(power, others, before) for power in _POWERS]
            errors.append([abs(after - (1 - each)) for each in lost])
            cells = (f"{100 * value:.1f}" for value in (before, 1 - after, *lost))
            table.add_row(case, name, *cells)
    for name, summary in (("mean error", np.mean), ("worst error", np.max)):
        table.add_row(name, "", "", "", *(f"{100 * error:.1f}" for error in summary(errors, axis=0)))
    Console(width=120).print(table)


def _estimate(power: float, others: list, before: float) -> float:
    with mock.patch.object(recovery, "_POWER", power):
        return recovery.kept_after(before, recovery.recovery([tuple(kept) for kept in others]))


def _of_rivals() -> Iterator[tuple[str, str, float, float]]:
    """Case, plan, and the shares kept before and after training."""
    for case in _CASES:
        cells = [
            json.loads(path.read_text()) for path in sorted((_RESULTS / "rivals" / case).glob("*-*.json"))
        ]
        untouched = {cell["seed"]: cell["top1"] for cell in cells if cell["method"] == "untouched"}
        for cell in (cell for cell in cells if cell["method"] in _METHODS and cell["seed"] in untouched):
            name = f"{cell['method']}-{cell['setting']:g}"
            before = _kept(_RESULTS / "rivals" / case / "plans" / f"{name}.json")
            yield case, f"{name}-{cell['seed']}", before, cell["top1"] / untouched[cell["seed"]]


def _of_recipes() -> Iterator[tuple[str, str, float, float]]:
    folder = _RESULTS / "recipe_trials"
    for path in sorted(folder.glob("bvlc-*.json")):
        trial, made = re.findall(r"\d+", path.name)[0], json.loads(path.read_text())
        before = _kept(folder / "plans" / f"bvlc-{trial}.json")
        yield "bvlc_googlenet", f"trial {trial}", before, made["top1"] / made["teacher_top1"]


def _kept(path: Path) -> float:
    plan = json.loads(path.read_text())
    return plan["accuracy"] / (plan["accuracy"] + plan["drop"])


if __name__ == "__main__":
    main()
