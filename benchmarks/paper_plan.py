"""Hand-made plans on the paper's network, learned on unlabelled photos: accuracy against minutes.

python benchmarks/paper_plan.py WEIGHTS SYNSETS LEARN_FOLDER EVAL_FOLDER [--plan NAME[+NAME]]
    [--steps N] [--views N] [--epochs N] [--seed N]

``modules`` (default): all nine inception modules merged as in the paper, the stem untouched; or presets, as
``paper`` (conv1 and conv2 merged with norm and pooling too) or ``wide:2+modules`` (a wide stem instead).
As ``train`` does it: closed form and descent from bottom to top on the merged network's own features, then
the whole network towards the teacher's answers and features, on random parts of the photos. Top-5 on the
evaluation photos after each stage. Twenty-one minutes on two cores; 5 views of 1000 photos take 13 GB.
"""

import argparse
import sys
import tempfile
import time
from itertools import count
from pathlib import Path

from rich.console import Console
from rich.table import Table
from torch import nn

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from merges.network import Network  # noqa: E402
from search import presets, report  # noqa: E402
from search.latency import Device, Latencies  # noqa: E402
from search.setup import Setup, workbench  # noqa: E402
from search.train import Training, bottom_up  # noqa: E402
from training.finetune import Accuracy, evaluate  # noqa: E402
from training.fit import Fit, fit  # noqa: E402
from training.optim import half_pays  # noqa: E402
from training.ways import Distilled, rate_for  # noqa: E402

_STAGES = 2


def _choices(name: str, network: Network) -> dict[str, str]:
    if name != "modules":
        return presets.preset(name, network)
    paper = presets.preset("paper", network)
    return {site: option for site, option in paper.items() if not site.startswith("streamline")}


def main() -> None:
    parser = argparse.ArgumentParser()
    for name in ("weights", "synsets", "learn", "judge"):
        parser.add_argument(name)
    parser.add_argument("--plan", default="modules")
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--views", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    setup = Setup(
        model="bvlc_googlenet",
        weights=given.weights,
        labels=given.synsets,
        data=f"imagefolder:{given.learn}",
        eval_data=f"imagefolder:{given.judge}",
        seed=given.seed,
    )
    table = Table(title=f"{given.plan}, learned on unlabelled photos, {given.steps} steps a block")
    for heading in ("stage", "ms on arm-a57", "minutes", "top-5 %", "top-1 %"):
        table.add_column(heading, justify="left" if heading == "stage" else "right")
    with tempfile.TemporaryDirectory() as scratch, report.bars() as watch:
        home = Path(scratch)
        bench = workbench(setup, home, watch)
        plan = {
            site: o for name in given.plan.split("+") for site, o in _choices(name, bench.network).items()
        }
        latencies = Latencies(bench.network, Device.named("arm-a57", home))
        start = time.perf_counter()

        def stage(what: str, choices: dict[str, str], reached: Accuracy) -> None:
            minutes = (time.perf_counter() - start) / 60
            ms = latencies.score(choices).latency_ms
            table.add_row(what, f"{ms:.0f}", f"{minutes:.1f}", f"{reached.top5:.1f}", f"{reached.top1:.1f}")
            Console(stderr=True).print(f"{what}: {minutes:.1f} min, {reached.top5:.1f} % top-5")

        def judged(network: nn.Module) -> Accuracy:
            return evaluate(network, bench.inputs(bench.data.proxy), bench.data.proxy.labels)[0]

        stage("untouched", {}, bench.judge(bench.data.proxy)[0])
        start = time.perf_counter()
        training = Training(
            given.epochs,
            augment=True,
            relearn_images=len(bench.data.train),
            relearn_views=given.views,
            relearn_steps=given.steps,
        )
        merged = bottom_up(bench, plan, training, home / "relearned", home, watch)
        stage("from bottom to top", plan, judged(merged))
        blocks = [block.name for block in bench.network.blocks if block.choices(plan)]
        seen = count(1)

        def after_epoch(network: nn.Module) -> float:
            number = next(seen)
            if number == given.epochs or number % max(1, given.epochs // _STAGES) == 0:
                stage(f"and {number} of {given.epochs} epochs of the whole", plan, judged(network))
            return float(number)

        fit(
            merged,
            Distilled(bench.network.skeleton(), blocks, rate_for(len(bench.data.train))),
            bench.changed,
            len(bench.data.train),
            Fit(given.epochs, half=half_pays(), seed=given.seed),
            home,
            watch("the whole network"),
            after_epoch,
        )
    Console().print(table)


if __name__ == "__main__":
    main()
