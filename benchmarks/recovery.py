"""How well the accuracy of plans after training follows from that before it (seconds; nothing is trained).

The plans of ``rivals.py`` (12 passes), ``searched_bvlc.py`` (9) and ``recipe_trials.py`` (5) that were
trained, each left out in turn: what it loses, and what the others of its case say that it would, in percent
of the untouched network's accuracy; for some powers of the logarithm, and with narrowing counted as merging.
``search/results/recovery.py`` has what is used (what is usual there comes from these plans too).

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
from search.results.recovery import Kept  # noqa: E402

_POWERS = (1.0, 1.5, 2.0)
_CASES = ("googlenet", "mobilenet_v2")
_METHODS = ("ours", "merged")
# Shares that trial 0 of the searches of narrowed networks keeps.
_UNMERGED = {("googlenet", 0.5): 0.9500, ("mobilenet_v2", 0.75): 0.9433}
_NARROWED_BVLC = Kept(56.61 / 86.63, 0.7710), 88.13 / 94.72  # results/searched_bvlc.txt
_Trained = tuple[str, str, Kept, float]  # case, plan, what is kept before training, and after
_RESULTS = ROOT / "benchmarks/results"


def main() -> None:
    table = Table(
        title="lost in training, % of the untouched accuracy: found, and estimated from other plans"
    )
    powers = (*(f"power {p:g}" for p in _POWERS), "narrowing as merging")
    for heading in ("case", "plan", "unmerged keeps %", "kept before %", "lost after %", *powers):
        table.add_column(heading, justify="left" if heading in ("case", "plan") else "right")
    errors: list[list[float]] = []
    plans = [*_of_rivals(), *_of_recipes()]
    for case, found in groupby(plans, key=lambda plan: plan[0]):
        known = list(found)
        for number, (_, name, before, after) in enumerate(known):
            others = [(kept, reached) for place, (_, _, kept, reached) in enumerate(known) if place != number]
            lost = [1 - _estimate(power, others, before) for power in _POWERS]
            alike = [(Kept(kept.plan), reached) for kept, reached in others]
            lost.append(1 - recovery.kept_after(Kept(before.plan), recovery.recovery(alike)))
            errors.append([abs(after - (1 - each)) for each in lost])
            cells = (f"{100 * value:.1f}" for value in (before.unmerged, before.plan, 1 - after, *lost))
            table.add_row(case, name, *cells)
    for name, summary in (("mean error", np.mean), ("worst error", np.max)):
        table.add_row(name, "", "", "", "", *(f"{100 * error:.1f}" for error in summary(errors, axis=0)))
    Console(width=130).print(table)


def _estimate(power: float, others: list[tuple[Kept, float]], before: Kept) -> float:
    with mock.patch.object(recovery, "_POWER", power):
        return recovery.kept_after(before, recovery.recovery(others))


def _of_rivals() -> Iterator[_Trained]:
    for case in _CASES:
        cells = [
            json.loads(path.read_text()) for path in sorted((_RESULTS / "rivals" / case).glob("*-*.json"))
        ]
        untouched = {cell["seed"]: cell["top1"] for cell in cells if cell["method"] == "untouched"}
        for cell in (cell for cell in cells if cell["method"] in _METHODS and cell["seed"] in untouched):
            name = f"{cell['method']}-{cell['setting']:g}"
            before = _kept(_RESULTS / "rivals" / case / "plans" / f"{name}.json", case)
            yield case, f"{name}-{cell['seed']}", before, cell["top1"] / untouched[cell["seed"]]


def _of_recipes() -> Iterator[_Trained]:
    folder = _RESULTS / "recipe_trials"
    for path in sorted(folder.glob("bvlc-*.json")):
        trial, made = re.findall(r"\d+", path.name)[0], json.loads(path.read_text())
        before = _kept(folder / "plans" / f"bvlc-{trial}.json", "bvlc_googlenet")
        yield "bvlc_googlenet", f"trial {trial}", before, made["top1"] / made["teacher_top1"]
    yield "bvlc_googlenet", "narrowed", *_NARROWED_BVLC


def _kept(path: Path, case: str) -> Kept:
    plan = json.loads(path.read_text())
    unmerged = _UNMERGED[case, plan["narrow"]] if plan.get("narrow") else 1.0
    return Kept(plan["accuracy"] / (plan["accuracy"] + plan["drop"]), unmerged)


if __name__ == "__main__":
    main()
