"""Whether cheap judgements rank plans as dear ones do, on the default network.

python benchmarks/ranking.py [EPOCHS]

The README's first search in an empty home, then (a) 50 random plans by the proxy, against what the model
predicts for them from the search's trials: Spearman; (b) 20 plans spread over the front, each fully trained
for EPOCHS (3): expected top-1 on the test images against the proxy's: Kendall, and how many pairs that differ
after training are ranked alike. With the seconds that each judgement costs. Half an hour to two hours.
"""

import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from itertools import combinations
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table
from scipy.stats import kendalltau, spearmanr

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))


from merges.rule import KEEP  # noqa: E402
from search.accuracy_model import AccuracyModel  # noqa: E402
from search.commands import terminal  # noqa: E402
from search.config import SearchConfig  # noqa: E402
from search.deploy.train import Training, train  # noqa: E402
from search.prepare import prepare  # noqa: E402
from search.proxy import Proxy  # noqa: E402
from search.results.front import front_of  # noqa: E402
from search.results.planfile import PlanFile  # noqa: E402
from search.run import search  # noqa: E402
from search.space.plan_space import PlanSpace  # noqa: E402
from search.study import recorded  # noqa: E402
from search.study.records import TrialRecord  # noqa: E402
from search.study.study import finished  # noqa: E402
from training.config import ModelConfig  # noqa: E402
from training.progress import Session  # noqa: E402

_RANDOM, _TRAINED, _EPOCHS, _TRIALS = 50, 20, 3, 100
_APART = 0.1, 0.2  # points after training
_SEED = 0


def main() -> None:
    epochs = int(sys.argv[1]) if len(sys.argv) > 1 else _EPOCHS
    config = SearchConfig(ModelConfig(), Proxy(), "arm-a57", _TRIALS, "auto")
    table = Table(title="rank correlation of judgements, default network")
    for heading in ("of", "plans", "figure", "seconds a plan, dear", "cheap"):
        table.add_column(heading, justify="left" if heading == "of" else "right")
    with tempfile.TemporaryDirectory() as folder, terminal.bars() as watch:
        home = Path(folder)
        storage = f"sqlite:///{home / 'studies.db'}"
        study = search(config, storage, Session(home, watch, terminal.note))
        made = prepare(config, Session(home, watch, terminal.note))
        start = time.perf_counter()
        model = AccuracyModel(made.space.estimates, made.evaluator.baseline.value)
        process = model.fitted([(trial.params, trial.values[1]) for trial in finished(study)])
        plans = list(random_plans(made.space))
        predicted = [model.predict(process, plan) for plan in plans]
        cheap = (time.perf_counter() - start) / _RANDOM
        start, progress = time.perf_counter(), watch("random plans")
        measured: list[float] = []
        for done, params in enumerate(plans):
            measured.append(made.evaluator.evaluate(made.space.plan(params)).value)
            progress(done + 1, _RANDOM)
        dear = (time.perf_counter() - start) / _RANDOM
        figure = f"Spearman {spearmanr(predicted, measured)[0]:.2f}"
        table.add_row("model and proxy, random plans", str(_RANDOM), figure, f"{dear:.1f}", f"{cheap:.3f}")

        terminal.note(f"model and proxy, {_RANDOM} random plans: {figure}")
        judged = recorded.read(study.study_name, storage)
        points = front_of(judged).points
        chosen = [points[i] for i in np.unique(np.linspace(0, len(points) - 1, _TRAINED).round().astype(int))]
        seconds = {trial.number: TrialRecord.read(trial).seconds for trial in finished(study)}
        reached, start, progress = [], time.perf_counter(), watch("full training")
        for done, point in enumerate(chosen):
            plan_file, out = PlanFile.of_trial(judged, point), home / str(point.trial)
            training = Training(epochs)
            trained = train(plan_file, config.setup, training, out, Session(home, note=terminal.note))
            reached.append(trained.merged.value)
            progress(done + 1, len(chosen))
        dear = (time.perf_counter() - start) / len(chosen)
        before = [point.accuracy for point in chosen]
        figure = f"Kendall {kendalltau(before, reached)[0]:.2f}"
        cheap = float(np.mean([seconds[p.trial] for p in chosen]))
        table.add_row(
            "proxy and full training, front", str(len(chosen)), figure, f"{dear:.1f}", f"{cheap:.1f}"
        )
        for points_apart in _APART:
            pairs, alike = told_apart(before, reached, points_apart)
            table.add_row(
                f"pairs of them over {points_apart} points apart", "", f"{alike} of {pairs} alike", "", ""
            )
        for point, percent in zip(chosen, reached, strict=True):
            print(f"{point.speedup:.2f}x: proxy {point.accuracy:.2f} %, trained {percent:.2f} %")
    Console().print(table)


def told_apart(before: Sequence[float], after: Sequence[float], points: float) -> tuple[int, int]:
    """How many pairs of plans are over `points` apart after training; how many of these keep their order."""
    gaps = [
        (before[one] - before[other], after[one] - after[other])
        for one, other in combinations(range(len(after)), 2)
        if abs(after[one] - after[other]) > points
    ]
    return len(gaps), sum(first * second > 0 for first, second in gaps)


def random_plans(space: PlanSpace) -> Iterator[dict[str, str]]:
    """Plans that merge at random, few sites or many."""
    dice = np.random.default_rng(_SEED)
    choices = {site: [str(c) for c in options.choices[1:]] for site, options in space.parameters.items()}
    for _ in range(_RANDOM):
        share = dice.uniform()
        yield {
            site: str(dice.choice(names)) if dice.random() < share else KEEP
            for site, names in choices.items()
        }


if __name__ == "__main__":
    main()
