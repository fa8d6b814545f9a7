"""How well the accuracy of plans after training follows from that before it (seconds; nothing is trained).

The plans of ``rivals.py`` (12 passes), ``searched_bvlc.py`` (9) and ``recipe_trials.py`` (5) that were
trained, each left out in turn with all its seeds: what it loses, and what the others of its case say that it
would, in percent of the untouched network's accuracy; for some powers of the logarithm, and with narrowing
counted as merging. Then how well accuracy before training, and the estimates, rank plans as accuracy after
training does (seeds averaged): Kendall.
``search/results/recovery.py`` has what is used (what is usual there comes from these plans too).

python benchmarks/recovery.py
"""

import json
import re
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple
from unittest import mock

import pandas as pd
from rich.console import Console
from rich.table import Table
from scipy.stats import kendalltau

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from search.results import recovery  # noqa: E402
from search.results.recovery import Kept  # noqa: E402

_POWERS = (1.0, 1.5, 2.0)
_CASES = ("googlenet", "mobilenet_v2")
_METHODS = ("ours", "merged", "depth", "skip")
# Shares that trial 0 of the searches of narrowed networks keeps.
_UNMERGED = {("googlenet", 0.5): 0.9500, ("mobilenet_v2", 0.75): 0.9433}
# Shares that plans keep whose searches judged them before the block that stands before left-out branches
# learned what those gave: judged again, on the teacher of the third seed.
_JUDGED_AGAIN = {
    ("mobilenet_v2", "skip-1.6"): 0.7666,
    ("mobilenet_v2", "merged-2"): 0.8229,
    ("mobilenet_v2", "merged-2.6"): 0.7031,
    ("mobilenet_v2", "ours-2.5"): 0.8282,
}
_NARROWED_BVLC = Kept(56.61 / 86.63, 0.7710), 88.13 / 94.72  # results/searched_bvlc.txt
_RESULTS = ROOT / "benchmarks/results"
_ESTIMATES = [*(f"power {power:g}" for power in _POWERS), "narrowing as merging"]
_SCORES = ["lost before", *_ESTIMATES]


class Trained(NamedTuple):
    """A trained plan: shares of the untouched accuracy that it keeps before training, and after it."""

    case: str
    plan: str
    seed: str
    before: Kept
    after: float


def main() -> None:
    plans = [*_of_rivals(), *_of_recipes()]
    found = pd.DataFrame([_row(plan, plans) for plan in plans])
    errors = found[_ESTIMATES].sub(found["lost after"], axis=0).abs()
    summary = pd.DataFrame({"mean error": errors.mean(), "worst error": errors.max()}).T
    _print(
        "lost in training, % of the untouched accuracy: found, and estimated from other plans",
        pd.concat([found, summary.rename_axis("case").reset_index()]).round(1).astype(object).fillna(""),
    )
    of_plans = found.groupby(["case", "plan"]).mean(numeric_only=True)
    ranked = [
        {"case": case, "plans": len(of)}
        | {name: kendalltau(of[name], of["lost after"]).statistic for name in _SCORES}
        for case, of in of_plans.groupby(level="case", sort=False)
    ]
    _print("plans ranked as after training: Kendall", pd.DataFrame(ranked).round(2))


def _row(plan: Trained, plans: list[Trained]) -> dict[str, str | float]:
    others = [other for other in plans if other.case == plan.case and other.plan != plan.plan]
    estimates = [_lost(power, others, plan.before) for power in _POWERS]
    alike = [other._replace(before=Kept(other.before.plan)) for other in others]
    estimates.append(_lost(_POWERS[1], alike, Kept(plan.before.plan)))
    return {
        "case": plan.case,
        "plan": plan.plan,
        "seed": plan.seed,
        "narrowing lost": 100 * (1 - plan.before.unmerged),
        "lost before": 100 * (1 - plan.before.plan),
        "lost after": 100 * (1 - plan.after),
        **dict(zip(_ESTIMATES, estimates, strict=True)),
    }


def _lost(power: float, others: list[Trained], before: Kept) -> float:
    with mock.patch.object(recovery, "_POWER", power):
        return 100 * (
            1 - recovery.kept_after(before, recovery.recovery([(o.before, o.after) for o in others]))
        )


def _print(title: str, rows: pd.DataFrame) -> None:
    table = Table(title=title)
    for name in rows.columns:
        table.add_column(name, justify="left" if name in ("case", "plan") else "right")
    for _, row in rows.iterrows():
        table.add_row(*row.astype(str))
    Console(width=130).print(table)


def _of_rivals() -> Iterator[Trained]:
    for case in _CASES:
        cells = [
            json.loads(path.read_text()) for path in sorted((_RESULTS / "rivals" / case).glob("*-*.json"))
        ]
        untouched = {cell["seed"]: cell["top1"] for cell in cells if cell["method"] == "untouched"}
        for cell in cells:
            if cell["method"] not in _METHODS or cell["seed"] not in untouched or "top1" not in cell:
                continue
            name, seed = f"{cell['method']}-{cell['setting']:g}", cell["seed"]
            before = _kept(_RESULTS / "rivals" / case / "plans" / f"{name}.json", case)
            before = replace(before, plan=_JUDGED_AGAIN.get((case, name), before.plan))
            yield Trained(case, name, str(seed), before, cell["top1"] / untouched[seed])


def _of_recipes() -> Iterator[Trained]:
    folder = _RESULTS / "recipe_trials"
    for path in sorted(folder.glob("bvlc-*.json")):
        trial, made = re.findall(r"\d+", path.name)[0], json.loads(path.read_text())
        before = _kept(folder / "plans" / f"bvlc-{trial}.json", "bvlc_googlenet")
        yield Trained("bvlc_googlenet", f"trial {trial}", "0", before, made["top1"] / made["teacher_top1"])
    yield Trained("bvlc_googlenet", "narrowed", "0", *_NARROWED_BVLC)


def _kept(path: Path, case: str) -> Kept:
    plan = json.loads(path.read_text())
    unmerged = _UNMERGED[case, plan["narrow"]] if plan.get("narrow") else 1.0
    return Kept(plan["accuracy"] / (plan["accuracy"] + plan["drop"]), unmerged)


if __name__ == "__main__":
    main()
