"""Samplers on the default search with real trials: hypervolume against trials and seconds.

python benchmarks/real_samplers.py [--seeds N] [--trials N] [--samplers NAMES] [--home FOLDER]

The README's first search, with every sampler and several seeds, from the same teacher and the same first
plans. A plan that several runs try is trained once, and its seconds count in each of them. Median over the
seeds of the hypervolume in percent of the area below the untouched network. Three seconds a trial and up to
four a block that is new: with three samplers, two seeds and 60 trials 21 minutes on two cores; FOLDER keeps
what was learned.
"""

import argparse
import sys
import tempfile
from pathlib import Path
from statistics import median

import optuna
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from merges.plan import Plan  # noqa: E402
from search import front, report  # noqa: E402
from search import study as studies  # noqa: E402
from search.area import dominated  # noqa: E402
from search.evaluate import Evaluation, Evaluator, Proxy  # noqa: E402
from search.job import Wanted, evaluator_of  # noqa: E402
from search.latency import Score  # noqa: E402
from search.ledger import Ledger, open_engine  # noqa: E402
from search.limits import Limits  # noqa: E402
from search.setup import Setup  # noqa: E402
from search.trials import Worker  # noqa: E402

_SHOWN = (15, 25, 40, 60, 100)


class Remembering(Evaluator):
    """Judges every plan once; a repeated plan has the answer, and the seconds, of the first time."""

    known: dict[str, Evaluation]

    def judge(self, plan: Plan, score: Score, peak_bytes: int) -> Evaluation:
        if plan.plan_id not in self.known:
            self.known[plan.plan_id] = super().judge(plan, score, peak_bytes)
        return self.known[plan.plan_id]


def curve(study: optuna.Study) -> list[tuple[float, float]]:
    """Hypervolume (percent) and seconds after every finished trial."""
    baseline = front.read(study).baseline
    trials = studies.finished(study)
    points = [(trial.values[0], trial.values[1]) for trial in trials]
    whole = baseline["latency_ms"] * baseline["accuracy"]
    seconds = [sum(t.user_attrs["seconds"] for t in trials[: n + 1]) for n in range(len(trials))]
    areas = [dominated(points[: n + 1], baseline["latency_ms"]) for n in range(len(trials))]
    return [(100 * area / whole, spent) for area, spent in zip(areas, seconds, strict=True)]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--trials", type=int, default=60)
    parser.add_argument("--samplers", default="auto,tpe,random")
    parser.add_argument("--home", type=Path)
    given = parser.parse_args()
    shown = [n for n in _SHOWN if n <= given.trials]
    table = Table(title=f"default search, {given.trials} real trials, median of {given.seeds} seeds")
    for heading in ("sampler", *(f"{n} trials" for n in shown), "seconds"):
        table.add_column(heading, justify="left" if heading == "sampler" else "right")
    with tempfile.TemporaryDirectory() as scratch, report.bars() as watch:
        home = given.home or Path(scratch)
        storage = f"sqlite:///{Path(scratch) / 'studies.db'}"
        wanted = Wanted(Setup(), Proxy(), "arm-a57", given.trials, "auto")
        found = evaluator_of(wanted, home, watch, report.note)
        evaluator = Remembering(found.bench, found.latencies, found.proxy, found.shelf)
        evaluator.worths, evaluator.known = found.worths, {}
        for sampler in given.samplers.split(","):
            curves = []
            for seed in range(given.seeds):
                name = f"{sampler}-{seed}"
                study = studies.start(name, storage, evaluator, given.trials, {})
                study.sampler = evaluator.sampler(sampler, seed, Limits())
                worker = Worker(study, evaluator, Ledger(open_engine(storage), name), Limits())
                worker.run(given.trials, watch(name))
                curves.append(curve(study))
            cells = [f"{median(c[min(n, len(c)) - 1][0] for c in curves):.2f}" for n in shown]
            report.note(f"{sampler}: {cells}")
            table.add_row(sampler, *cells, f"{median(c[-1][1] for c in curves):.0f}")
    Console().print(table)


if __name__ == "__main__":
    main()
