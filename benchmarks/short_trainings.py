"""Whether a short training ranks plans as the whole one does, and better than a search's estimates do.

python benchmarks/short_trainings.py CASE PASSES IMAGENETTE [HOME]

The plans of a case of ``rivals.py`` whose whole trainings are kept are trained for PASSES alone, seed 0, and
judged on the proxy split, as a search would, and on the test images. Every plan's result is kept beside the
cells, and what is there is not made again. Two to three minutes of one core a plan and pass of MobileNetV2.
"""

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console
from rich.table import Table
from scipy.stats import kendalltau

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.rival_cases import CASES, Bench  # noqa: E402
from benchmarks.rivals import RESULTS  # noqa: E402
from search.commands import terminal  # noqa: E402
from search.deploy.train import Training, trained_network  # noqa: E402
from search.results.planfile import PlanFile  # noqa: E402
from training.files import replacing  # noqa: E402
from training.metrics import evaluate  # noqa: E402

_RATE = 0.012
_SCORES = ["proxy expected", "proxy top-1", "test expected", "test top-1"]


def main() -> None:
    case, passes, data, *rest = sys.argv[1:]
    home = Path(rest[0]) if rest else ROOT / "studies/rivals"
    lost = _lost_after(case)
    kept = RESULTS / case / f"after_{passes}.json"
    found: dict[str, dict[str, float]] = json.loads(kept.read_text()) if kept.exists() else {}
    with terminal.bars() as watch:
        made = Bench(CASES[case], data, home, RESULTS / case / "plans", watch)
        for plan in (name for name in lost if name not in found):
            found[plan] = _trained(made, plan, int(passes))
            with replacing(kept) as temporary:
                temporary.write_text(json.dumps(found, indent=1) + "\n")
    rows = pd.DataFrame(found).T.assign(lost=pd.Series(lost)).sort_values("lost")
    ranks = {score: -kendalltau(rows[score], rows["lost"]).statistic for score in _SCORES}
    table = Table(title=f"{case}: plans after {passes} passes, and what they lose after {CASES[case].passes}")
    for name in ("plan", *_SCORES, "lost after all, % of the untouched"):
        table.add_column(name, justify="left" if name == "plan" else "right")
    for plan, row in zip(rows.index, rows.to_dict("records"), strict=True):
        table.add_row(plan, *(f"{row[score]:.1f}" for score in (*_SCORES, "lost")))
    table.add_row("Kendall", *(f"{ranks[score]:.2f}" for score in _SCORES), "")
    Console(width=120).print(table)


def _lost_after(case: str) -> dict[str, float]:
    """What every plan loses in its whole training, over its seeds, in percent of the untouched accuracy."""
    cells: list[dict[str, Any]] = [
        json.loads(path.read_text()) for path in sorted((RESULTS / case).glob("*-*-*.json"))
    ]
    untouched = {cell["seed"]: cell["top1"] for cell in cells if cell["method"] == "untouched"}
    lost: dict[str, list[float]] = {}
    for cell in cells:
        if cell.get("plan") and cell["seed"] in untouched:
            name = f"{cell['method']}-{cell['setting']:g}"
            lost.setdefault(name, []).append(100 * (1 - cell["top1"] / untouched[cell["seed"]]))
    return {name: sum(of) / len(of) for name, of in lost.items()}


def _trained(made: Bench, plan: str, passes: int) -> dict[str, float]:
    file = PlanFile.load(made.plans / f"{plan}.json")
    bench = made.bench_of(file)
    training = Training(passes, with_labels=True, rate=_RATE, augment=True)
    with tempfile.TemporaryDirectory() as folder:
        network, _ = trained_network(bench, file.fitted(bench.network), training, Path(folder), made.session)
    judged = [
        evaluate(network, bench.inputs(part), part.labels)[0] for part in (bench.data.proxy, bench.data.test)
    ]
    values = [value for accuracy in judged for value in (accuracy.expected, accuracy.top1)]
    return dict(zip(_SCORES, values, strict=True))


if __name__ == "__main__":
    main()
