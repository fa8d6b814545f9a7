"""Hand-made plans on the paper's network, learned on unlabelled photos: accuracy by minutes and by steps.

python benchmarks/paper_plan.py WEIGHTS SYNSETS LEARN_FOLDER EVAL_FOLDER [--plan NAME[+NAME]]
    [--steps N] [--views N] [--epochs N] [--seed N] [--alone]

``modules`` (default): all nine inception modules merged as in the paper, the stem untouched; or presets, as
``paper`` (conv1 and conv2 merged with norm and pooling too) or ``wide:2+modules`` (a wide stem instead).
As ``train`` does it: closed form and descent from bottom to top on the merged network's own features, then
the whole network towards the teacher's answers and features, on random parts of the photos. Top-5 on the
evaluation photos after each stage; before the last one also, as in the paper's Table 2, with the steps so far
and (``--alone``) with each by itself, learned on the teacher's features. Twenty-one minutes on two cores;
``--plan wide:2+modules --steps 2000 --epochs 0 --alone`` forty-four on one. 5 views of 1000 photos: 13 GB.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path

from rich.console import Console
from rich.table import Table
from torch import nn

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from merges.network import Network  # noqa: E402
from search.commands import terminal  # noqa: E402
from search.deploy.train import Training, bottom_up  # noqa: E402
from search.scoring.device import Device  # noqa: E402
from search.scoring.latency import Latencies  # noqa: E402
from search.space import presets  # noqa: E402
from training.config import ModelConfig  # noqa: E402
from training.finetune.fit import (  # noqa: E402
    Fit,
    Inputs,
    Log,
    fit,
)
from training.finetune.objectives import MANY_IMAGES, Distillation, rate_for  # noqa: E402
from training.metrics import Accuracy, evaluate  # noqa: E402
from training.optim import half_pays  # noqa: E402
from training.progress import Session, Watch  # noqa: E402
from training.store import weights_of  # noqa: E402
from training.workbench import Workbench, workbench  # noqa: E402

_MODULES = "modules"
_STAGES = 2
_PAPER_DROPS = {"conv1": "0.16", "inception_5b": "0.4"}  # its text; it trained on all of ImageNet

Steps = list[tuple[str, dict[str, str]]]
Learn = Callable[[str, dict[str, str]], nn.Module]
Stage = Callable[[str, Accuracy], None]


def steps_of(plan: str, network: Network) -> Steps:
    """Title and choices of every step of the presets."""
    found = []
    for name in plan.split("+"):
        base, _, last = name.replace(_MODULES, "paper").partition(":")
        titles = [step["step"] for step in presets.steps(base, network.name)]
        before: dict[str, str] = {}
        for number, title in enumerate(titles[: int(last) if last else None], 1):
            choices = presets.preset(f"{base}:{number}", network)
            if name != _MODULES or title.startswith("inception"):
                found.append((title, {site: o for site, o in choices.items() if site not in before}))
            before = choices
    return found


def by_step(
    bench: Workbench, steps: Steps, untouched: Accuracy, merged: nn.Module, learn: Learn | None
) -> Table:
    """Top-5 with the steps so far, their blocks as they are in `merged`, and with each as `learn` has it."""
    table = Table(title="top-5 %, step by step")
    for heading in ("step", "alone", "steps so far", "drop", "the paper's drop"):
        table.add_column(heading, justify="left" if heading == "step" else "right")
    plan: dict[str, str] = {}
    for title, choices in steps:
        plan |= choices
        blocks = [block.name for block in bench.network.blocks if block.choices(plan)]
        learned = {name: weights_of(merged.get_submodule(name)) for name in blocks}
        reached = judged(bench, bench.network.merged(plan, learned)).top5
        alone = f"{judged(bench, learn(title, choices)).top5:.1f}" if learn else ""
        cells = f"{reached:.1f}", f"{untouched.top5 - reached:.1f}", _PAPER_DROPS.get(title, "")
        table.add_row(title, alone, *cells)
        Console(stderr=True).print(title, alone, *cells)
    return table


def judged(bench: Workbench, network: nn.Module) -> Accuracy:
    return evaluate(network, bench.inputs(bench.data.proxy), bench.data.proxy.labels)[0]


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    for name in ("weights", "synsets", "learn", "judge"):
        parser.add_argument(name)
    parser.add_argument("--plan", default=_MODULES)
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--views", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--alone", action="store_true")
    return parser.parse_args()


def whole(
    bench: Workbench,
    merged: nn.Module,
    plan: dict[str, str],
    epochs: int,
    folder: Path,
    watch: Watch,
    stage: Stage,
) -> None:
    """Train the whole network in place."""
    blocks = [block.name for block in bench.network.blocks if block.choices(plan)]
    way = Distillation(bench.network.skeleton(), blocks, rate_for(fast=len(bench.data.train) >= MANY_IMAGES))
    seen = count(1)

    def after_epoch(network: nn.Module) -> float:
        number = next(seen)
        if number == epochs or number % max(1, epochs // _STAGES) == 0:
            stage(f"and {number} of {epochs} epochs of the whole", judged(bench, network))
        return float(number)

    how, inputs = (
        Fit(epochs, half=half_pays(), seed=bench.setup.seed),
        Inputs(bench.changed, len(bench.data.train)),
    )
    fit(merged, way, inputs, how, Log(folder, watch, title="the whole network"), after_epoch)


def main() -> None:
    given = arguments()
    setup = ModelConfig(
        model="bvlc_googlenet",
        weights=given.weights,
        labels=given.synsets,
        data=f"imagefolder:{given.learn}",
        eval_data=f"imagefolder:{given.judge}",
        seed=given.seed,
    )
    table = Table(title=f"{given.plan}, learned on unlabelled photos, {given.steps} steps a block")
    for heading in ("stage", "minutes", "top-5 %", "top-1 %"):
        table.add_column(heading, justify="left" if heading == "stage" else "right")
    with tempfile.TemporaryDirectory() as scratch, terminal.bars() as watch:
        home = Path(scratch)
        bench = workbench(setup, Session(home, watch))
        steps = steps_of(given.plan, bench.network)
        plan = {site: option for _, choices in steps for site, option in choices.items()}
        speedup = Latencies(bench.network, Device.named("arm-a57", home)).score(plan).speedup
        training = Training(
            given.epochs,
            augment=True,
            relearn_images=len(bench.data.train),
            relearn_views=given.views,
            relearn_steps=given.steps,
        )

        def stage(what: str, reached: Accuracy) -> None:
            minutes = (time.perf_counter() - start) / 60
            table.add_row(what, f"{minutes:.1f}", f"{reached.top5:.1f}", f"{reached.top1:.1f}")
            Console(stderr=True).print(f"{what}: {minutes:.1f} min, {reached.top5:.1f} % top-5")

        def learn(title: str, choices: dict[str, str]) -> nn.Module:
            return bottom_up(bench, choices, training, home / title, Session(home, watch))

        untouched = judged(bench, bench.network.teacher)
        start = time.perf_counter()
        stage("untouched", untouched)
        merged = learn("relearned", plan)
        stage("from bottom to top", judged(bench, merged))
        before = time.perf_counter()
        stepwise = by_step(bench, steps, untouched, merged, learn if given.alone else None)
        start += time.perf_counter() - before  # looking back is no part of the learning
        whole(bench, merged, plan, given.epochs, home, watch, stage)
    table.caption = f"{speedup:.2f}x on arm-a57"
    Console().print(table, stepwise)


if __name__ == "__main__":
    main()
