"""Seconds, memory and bytes of reading a study with many trials, and of proposing the next one.

python benchmarks/large_study.py [--trials 5000] [--home studies/large]

The study is of BVLC GoogLeNet on arm-a57: random plans with their real latencies and made-up accuracies. It
is made once (some minutes), and every command runs in a process of its own. Goals at 5,000 trials: `front`
3 s and 400 MB, `--html` 10 s and 2 MB, `plan` 3 s, the next proposal 3 s.
"""

import argparse
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import optuna
from optuna.trial import TrialState
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from merges.plan import Plan  # noqa: E402
from search.commands import terminal  # noqa: E402
from search.engine.driver import Driver  # noqa: E402
from search.engine.pool import Here  # noqa: E402
from search.evaluation import zero_shot  # noqa: E402
from search.evaluation.evaluator import Evaluation  # noqa: E402
from search.proxy import Proxy  # noqa: E402
from search.samplers import DEFAULT, make_sampler  # noqa: E402
from search.scoring.device import Device  # noqa: E402
from search.scoring.latency import Latencies  # noqa: E402
from search.space.limits import Limits  # noqa: E402
from search.space.plan_space import PlanSpace  # noqa: E402
from search.study import study as studies  # noqa: E402
from search.study.recording import cost_of, trial_record  # noqa: E402
from search.study.records import Baseline, StudyRecord  # noqa: E402
from training.config import ModelConfig  # noqa: E402
from training.judging import Judged  # noqa: E402
from training.metrics import Accuracy  # noqa: E402
from training.progress import quiet  # noqa: E402
from training.workbench import structure  # noqa: E402

NAME, UNTOUCHED = "large", 90.0


def space_of(home: Path) -> PlanSpace:
    network = structure("bvlc_googlenet", low_rank=False)
    return PlanSpace(Latencies(network, Device.named("arm-a57", home)), quiet)


def made_up(space: PlanSpace, plan: Plan, dice: np.random.Generator) -> Evaluation:
    """An accuracy that falls with the plan's estimated losses, with some noise."""
    loss = sum(space.estimates[s][o].loss for s, o in plan.items() if o in space.estimates.get(s, {}))
    percent = float(UNTOUCHED * np.exp(-0.3 * loss - 0.02 * abs(dice.normal())))
    accuracy = Accuracy(percent, min(100.0, percent + 8), 450, percent)
    return Evaluation(Judged(percent, accuracy), 4.0)


def make(space: PlanSpace, url: str, count: int) -> None:
    """A study with so many finished trials."""
    network, device = space.network, space.latencies.device
    cost = cost_of(space.score({}))
    record = StudyRecord(
        network=network.name,
        fingerprint=network.fingerprint,
        weights_fingerprint=network.weights_fingerprint,
        input_shape=network.input_shape,
        classes=network.classes,
        target=device.spec.name,
        latency_source=device.source,
        data_fingerprint="made up",
        images={},
        model=ModelConfig(model=network.name),
        proxy=Proxy(),
        goals=(),
        options={},
        baseline=Baseline(cost=cost, accuracy=UNTOUCHED, accuracies=None, goals={}),
        arguments={},
        versions={},
        created="",
    )
    study = studies.start(NAME, url, record, [])
    dice = np.random.default_rng(0)
    choices = {site: [str(c) for c in options.choices] for site, options in space.parameters.items()}
    with terminal.bars() as watch:
        progress = watch("making trials")
        for done in range(len(study.trials), count):
            kept = dice.uniform()
            params = {
                site: str(dice.choice(names)) if dice.uniform() > kept else "keep"
                for site, names in choices.items()
            }
            plan = space.plan(params)
            found = made_up(space, plan, dice)
            score = space.score(plan)
            trial = optuna.trial.create_trial(
                state=TrialState.COMPLETE,
                params=params,
                distributions=dict(space.parameters),
                values=[score.latency_ms, found.value],
                user_attrs=trial_record(plan, score, space.latencies.peak_bytes(plan), found).attributes(),
            )
            study.add_trial(trial)
            progress(done + 1, count)


_LAUNCH = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""  # a process that was small when it started the command


def timed(*words: str) -> tuple[float, float]:
    """Seconds and MiB of a command in a process of its own."""
    command = [sys.executable, "-c", _LAUNCH, sys.executable, str(ROOT / "cli.py"), *words]
    start = time.perf_counter()
    kib = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return time.perf_counter() - start, int(kib) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=5000)
    parser.add_argument("--home", type=Path, default=Path("studies/large"))
    given = parser.parse_args()
    url = f"sqlite:///{(given.home / 'studies.db').as_posix()}"
    given.home.mkdir(parents=True, exist_ok=True)
    space = space_of(given.home)
    make(space, url, given.trials)
    where = ("--study", NAME, "--home", str(given.home))
    page = given.home / "front.html"
    table = Table(title=f"a study of {given.trials} trials, {len(space.parameters)} sites")
    for heading in ("what", "seconds", "MiB"):
        table.add_column(heading, justify="left" if heading == "what" else "right")
    for what, words in (
        ("front", ("front", *where)),
        ("front --html", ("front", *where, "--html", str(page))),
        ("plan", ("plan", *where, "--speedup", "2")),
    ):
        seconds, mib = timed(*words)
        table.add_row(what, f"{seconds:.1f}", f"{mib:.0f}")
    table.add_row("the page", "", f"{page.stat().st_size / 2**20:.2f}")
    study = studies.open_study(NAME, url)
    study.sampler = make_sampler(DEFAULT, 0, space.problem(UNTOUCHED, Limits()))
    start = time.perf_counter()
    Driver(study, space, Here(zero_shot.KeptWeights({})), UNTOUCHED, Limits()).take_over()
    table.add_row("taking the study over", f"{time.perf_counter() - start:.1f}", "")
    for what in ("first proposal", "next proposal"):
        start = time.perf_counter()
        study.ask(dict(space.parameters))
        table.add_row(what, f"{time.perf_counter() - start:.1f}", "")
    Console().print(table)


if __name__ == "__main__":
    main()
