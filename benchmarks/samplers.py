"""Samplers on a tabulated problem whose exact front is known (25 minutes for the table, which is kept).

python benchmarks/samplers.py [--home studies] [--seeds 5] [--trials 300] [SAMPLER ...]

The default network (GoogLeNet on digits, arm-a57): each of its nine inception modules is kept, has its
reducers slimmed, or is merged as in the paper: 19,683 plans, every one evaluated, from blocks that were
learned once. Every sampler begins with the same first plans as a search does; a plan tried before does
not count. Shown: hypervolume as a share of the exact front's, median (least) over the seeds, and the seconds
that choosing a trial takes.
"""

import argparse
import itertools
import json
import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import optuna
import torch
from optuna.distributions import CategoricalDistribution
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from merges.blocks import Block  # noqa: E402
from search.commands import terminal  # noqa: E402
from search.evaluation.fine_tuned import FineTuned  # noqa: E402
from search.pareto import hypervolume_area  # noqa: E402
from search.proxy import Proxy  # noqa: E402
from search.samplers import make_sampler, names  # noqa: E402
from search.scoring.device import Device  # noqa: E402
from search.scoring.latency import Latencies  # noqa: E402
from search.space.additive import OptionEstimate  # noqa: E402
from search.space.estimates import guessed_loss  # noqa: E402
from search.space.problem import Problem  # noqa: E402
from search.space.warm_start import ladder  # noqa: E402
from training.config import ModelConfig  # noqa: E402
from training.metrics import accuracy  # noqa: E402
from training.progress import Session  # noqa: E402
from training.store import WeightStore  # noqa: E402
from training.workbench import workbench  # noqa: E402

_OPTIONS = ("keep", "slim", "merged")
_SHOWN = (25, 50, 100, 200, 300)


def choices_of(block: Block) -> dict[str, dict[str, str]]:
    """What an option of the table means for the sites of a module."""
    slim = {site.id: site.names[-1] for site in block.sites if site.rule == "reducer"}
    merged = {site.id: site.names[-1] for site in block.sites if site.rule == "branch"}
    return {"keep": {}, "slim": slim, "merged": slim | merged}


def tabulate(home: Path) -> dict[str, object]:
    """Latency and accuracy of every plan, and what each option alone saves and gives up."""
    with terminal.bars() as watch:
        bench = workbench(ModelConfig(), Session(home, watch))
        latencies = Latencies(bench.network, Device.named("arm-a57", home))
        evaluator = FineTuned(bench, Proxy(), WeightStore(home / "bank"))
        blocks = [b for b in bench.network.blocks if any(s.rule == "branch" for s in b.sites)]
        learned = {}
        for block, option in itertools.product(blocks, _OPTIONS):
            choices = choices_of(block)[option]
            rebuilt, _ = bench.network.rebuild(block, choices)
            if choices:
                rebuilt.load_state_dict(evaluator.bank.get(block, choices).weights)
            learned[block.name, option] = rebuilt
        skeleton = bench.network.skeleton()
        nodes = [n for n in skeleton.graph.nodes if n.op not in ("placeholder", "output")]
        names = [block.name for block in blocks]
        progress, done = watch("evaluating every plan"), 0

        def leaves(position: int, value: torch.Tensor, plan: tuple[str, ...]) -> Iterator[tuple[str, float]]:
            nonlocal done
            for place, node in enumerate(nodes[position:], position):
                if str(node.target) in names:
                    for option in _OPTIONS:
                        made = learned[str(node.target), option](value)
                        yield from leaves(place + 1, made, (*plan, option))
                    return
                if node.op == "call_module":
                    value = skeleton.get_submodule(str(node.target))(value)
                else:
                    value = node.target(value, *node.args[1:], **node.kwargs)
            done += 1
            progress(done, len(_OPTIONS) ** len(blocks))
            yield " ".join(plan), accuracy(value, bench.data.proxy.labels).expected

        images = bench.inputs(bench.data.proxy)(torch.arange(len(bench.data.proxy)))
        with torch.no_grad():
            accuracies = dict(leaves(0, images, ()))
        scores = {
            f"{block.name} {option}": latencies.score(choices_of(block)[option])
            for block in blocks
            for option in _OPTIONS
        }
        untouched = latencies.score({})
    return {
        "blocks": names,
        "untouched_ms": untouched.latency_ms,
        "saved_ms": {key: untouched.latency_ms - score.latency_ms for key, score in scores.items()},
        "lost": {key: (untouched.macs - score.macs) / untouched.macs for key, score in scores.items()},
        "accuracies": accuracies,
    }


class Tabulated:
    """The table, and the problem that a search sees in it."""

    def __init__(self, table: dict[str, Any]) -> None:
        self.table = table
        self.space = {name: CategoricalDistribution(_OPTIONS) for name in self.table["blocks"]}
        estimates = {
            name: {
                option: OptionEstimate(
                    self.table["saved_ms"][f"{name} {option}"],
                    guessed_loss(len(self.space) * self.table["lost"][f"{name} {option}"]),
                )
                for option in _OPTIONS[1:]
            }
            for name in self.space
        }
        untouched = self.values(dict.fromkeys(self.space, "keep"))
        self.problem = Problem(self.space, estimates, *untouched)

    def values(self, plan: dict[str, str]) -> tuple[float, float]:
        saved = sum(self.table["saved_ms"][f"{name} {option}"] for name, option in plan.items())
        return self.table["untouched_ms"] - saved, self.table["accuracies"][
            " ".join(plan[n] for n in self.space)
        ]

    def every(self) -> Iterator[tuple[float, float]]:
        for options in itertools.product(_OPTIONS, repeat=len(self.space)):
            yield self.values(dict(zip(self.space, options, strict=True)))


def curve(known: Tabulated, name: str, seed: int, trials: int) -> tuple[list[float], float]:
    """Dominated area after every trial, and the seconds a trial took to choose."""
    sampler = make_sampler(name, seed, known.problem)
    study = optuna.create_study(directions=["minimize", "maximize"], sampler=sampler)
    for plan in ({}, *ladder(known.problem.estimates, 8)):
        study.enqueue_trial({site: plan.get(site, "keep") for site in known.space}, skip_if_exists=True)
    seen: dict[tuple[str, ...], tuple[float, float]] = {}
    areas: list[float] = []
    start = time.perf_counter()
    while len(seen) < trials:
        trial = study.ask(known.space)  # type: ignore[arg-type]
        chosen = tuple(trial.params[name] for name in known.space)
        if chosen in seen:
            study.tell(trial, state=optuna.trial.TrialState.PRUNED)
            continue
        seen[chosen] = known.values(trial.params)
        study.tell(trial, seen[chosen])
        areas.append(hypervolume_area(seen.values(), known.problem.baseline_ms))
    return areas, (time.perf_counter() - start) / trials


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--home", type=Path, default=Path("studies"))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--trials", type=int, default=300)
    parser.add_argument("samplers", nargs="*", default=[name for name in names() if name != "grid"])
    given = parser.parse_args()
    home, seeds, trials = given.home, given.seeds, given.trials
    kept = home / "tabulated.json"
    if not kept.exists():
        home.mkdir(parents=True, exist_ok=True)
        kept.write_text(json.dumps(tabulate(home)))
    known = Tabulated(json.loads(kept.read_text()))
    exact = hypervolume_area(known.every(), known.problem.baseline_ms)
    table = Table(title=f"hypervolume, % of the exact front's, median (least) of {seeds} seeds")
    shown = [count for count in _SHOWN if count <= trials]
    for heading in ("sampler", *(f"{count} trials" for count in shown), "seconds a trial"):
        table.add_column(heading, justify="left" if heading == "sampler" else "right")
    for name in given.samplers:
        runs = [curve(known, name, seed, trials) for seed in range(seeds)]
        cells = []
        for count in shown:
            shares = [100 * areas[count - 1] / exact for areas, _ in runs]
            cells.append(f"{statistics.median(shares):.2f} ({min(shares):.2f})")
        table.add_row(name, *cells, f"{statistics.median(s for _, s in runs):.3f}")
        Console(stderr=True).print(name, *cells)
    Console().print(table)


if __name__ == "__main__":
    main()
