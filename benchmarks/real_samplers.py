"""Samplers on the default search with real trials: hypervolume against trials and seconds.

python benchmarks/real_samplers.py [--seeds N] [--trials N] [--samplers NAMES] [--home FOLDER]

The README's first search, with every sampler and several seeds, from the same teacher and the same first
plans. A plan that several runs try is trained once, and its seconds count in each of them. Median (least)
over the seeds of the hypervolume in percent of the area below the untouched network. A run of 100 trials
takes some six minutes on one core, with gp twelve: five samplers with five seeds each 90 on two cores
(estimated), in two processes with one thread each. FOLDER keeps the studies and what was learned: the same
command continues there, and several may share it.
"""

import argparse
import itertools
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

import optuna
from optuna.trial import FrozenTrial
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from merges.plan import Plan  # noqa: E402
from search.commands import terminal  # noqa: E402
from search.config import SearchConfig  # noqa: E402
from search.engine.driver import Driver  # noqa: E402
from search.engine.pool import Here  # noqa: E402
from search.evaluation.evaluator import Evaluation  # noqa: E402
from search.evaluation.fine_tuned import FineTuned  # noqa: E402
from search.pareto import hypervolume_area  # noqa: E402
from search.prepare import prepare  # noqa: E402
from search.proxy import Proxy  # noqa: E402
from search.samplers import make_sampler  # noqa: E402
from search.space.limits import Limits  # noqa: E402
from search.study import study as studies  # noqa: E402
from search.study.recording import study_record  # noqa: E402
from search.study.records import StudyRecord, TrialRecord  # noqa: E402
from training.config import ModelConfig  # noqa: E402
from training.judging import Judged  # noqa: E402
from training.progress import Session  # noqa: E402
from training.store import WeightStore  # noqa: E402

_TRIALS = (15, 25, 40, 60, 100)
_SECONDS = (60, 120, 240, 360, 480)


class Remembering(FineTuned):
    """Judges every plan once; a repeated plan has the answer, and the seconds, of the first time."""

    known: dict[str, tuple[float, float]]

    def evaluate(self, plan: Plan) -> Evaluation:
        if plan.plan_id not in self.known:
            made = super().evaluate(plan)
            self.known[plan.plan_id] = made.value, made.seconds
        percent, seconds = self.known[plan.plan_id]
        return Evaluation(Judged(percent), seconds)


def known(storage: str) -> dict[str, tuple[float, float]]:
    """Accuracy and seconds of every plan that a study of the database has finished."""
    studied = (studies.open_study(name, storage) for name in optuna.get_all_study_names(storage))
    trials = (trial for study in studied for trial in studies.finished(study))
    return {TrialRecord.read(t).plan_id: (t.values[1], TrialRecord.read(t).seconds) for t in trials}


def curve(study: optuna.Study) -> list[tuple[float, float]]:
    """Hypervolume (percent) and seconds after every finished trial."""
    untouched = StudyRecord.read(study).baseline
    trials = studies.finished(study)
    points = [(trial.values[0], trial.values[1]) for trial in trials]
    whole = untouched.cost.latency_ms * untouched.accuracy
    areas = [hypervolume_area(points[: n + 1], untouched.cost.latency_ms) for n in range(len(trials))]
    spent = itertools.accumulate(map(seconds, trials))
    return [(100 * area / whole, after) for area, after in zip(areas, spent, strict=True)]


def seconds(trial: FrozenTrial) -> float:
    """What a trial takes to be chosen and judged, also where its answer was known."""
    judged = TrialRecord.read(trial).seconds
    passed = trial.duration.total_seconds() if trial.duration else 0.0
    return passed if passed > judged else passed + judged


def after_trials(points: list[tuple[float, float]], count: int) -> float:
    return points[min(count, len(points)) - 1][0]


def after_seconds(points: list[tuple[float, float]], limit: int) -> float:
    return max((area for area, spent in points if spent <= limit), default=0.0)


def tabled(
    curves: dict[str, list[list[tuple[float, float]]]],
    unit: str,
    shown: Sequence[int],
    reached: Callable[[list[tuple[float, float]], int], float],
) -> Table:
    """Median (least) over the seeds, a row a sampler."""
    seeds = max(map(len, curves.values()))
    table = Table(title=f"default search, hypervolume after so many {unit}, median (least) of {seeds} seeds")
    table.add_column("sampler")
    for count in shown:
        table.add_column(str(count), justify="right")
    for sampler, points in curves.items():
        areas = [[reached(one, count) for one in points] for count in shown]
        table.add_row(sampler, *(f"{median(found):.2f} ({min(found):.2f})" for found in areas))
    return table


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--samplers", default="auto,tpe,gp,nsga2,random")
    parser.add_argument("--home", type=Path)
    given = parser.parse_args()
    curves: dict[str, list[list[tuple[float, float]]]] = {}
    with tempfile.TemporaryDirectory() as scratch, terminal.bars() as watch:
        home = given.home or Path(scratch)
        home.mkdir(parents=True, exist_ok=True)
        storage = f"sqlite:///{home / 'studies.db'}"
        config = SearchConfig(ModelConfig(), Proxy(), "arm-a57", given.trials, "auto")
        made = prepare(config, Session(home, watch, terminal.note))
        evaluator = Remembering(made.bench, config.proxy, WeightStore(home / "bank"))
        untouched = evaluator.baseline
        problem = made.space.problem(untouched.value, Limits())
        record = study_record(made.bench, made.space, untouched, config.proxy, config.arguments())
        for sampler in given.samplers.split(","):
            curves[sampler] = []
            for seed in range(given.seeds):
                name, evaluator.known = f"{sampler}-{seed}", known(storage)
                first = [(preset, made.space.params(plan)) for preset, plan in made.space.first_plans()]
                study = studies.start(name, storage, record, first)
                study.sampler = make_sampler(sampler, seed, problem)
                driver = Driver(study, made.space, Here(evaluator), untouched.value, Limits())
                driver.run(given.trials, watch(name))
                curves[sampler].append(curve(study))
    Console().print(tabled(curves, "trials", [n for n in _TRIALS if n <= given.trials], after_trials))
    Console().print(tabled(curves, "seconds", _SECONDS, after_seconds))


if __name__ == "__main__":
    main()
