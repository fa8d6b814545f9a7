"""Our full training beside the paper's recipe, under the same number of passes over the images.

python benchmarks/recipes.py [--data DATA] [--input-size PIXELS] [--epochs N] [--seeds 0,1,2] [--home FOLDER]
    [--model NAME --weights FILE --labels FILE] [--teacher-epochs N]
    [--plan whole|modules] [--relearn-images N] [--rate R] [--recipes ours,paper]

The paper's plan (``modules``: the stem's norms dropped, its pooling kept) for torchvision's GoogLeNet, its
teacher trained from scratch on the same images (kept in FOLDER), on digits; or for what is given, from its
weights. Top-1 on the test images, each recipe with labels and as many passes over the images; the seconds
hold our pass from bottom to top too. On two cores, one seed, teacher included: 50 minutes for Imagenette from
scratch (--input-size 64 --teacher-epochs 20 --epochs 36 --rate 0.012; estimated from 18 passes), 45 for
BVLC's network on it (--input-size 128 --plan modules --teacher-epochs 2 --epochs 9 --relearn-images 1500);
digits, some five minutes (estimated).
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from merges.network import Network  # noqa: E402
from merges.plan import Plan  # noqa: E402
from search.commands import terminal  # noqa: E402
from search.deploy.train import Training, train  # noqa: E402
from search.results.planfile import PlanFile  # noqa: E402
from search.scoring.device import Device  # noqa: E402
from search.scoring.latency import Latencies  # noqa: E402
from search.space.presets import preset  # noqa: E402
from training.config import DEFAULT_DATA, ModelConfig  # noqa: E402
from training.progress import Session  # noqa: E402
from training.source import habits_of  # noqa: E402
from training.workbench import workbench  # noqa: E402

_JOINT = (("4b", "4c", "4d"),)  # as in the paper
_HEADINGS = ("seed", "recipe", "speed-up", "teacher top-1 %", "top-1 %", "expected top-1 %", "seconds")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", default=DEFAULT_DATA)
    parser.add_argument("--input-size", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=18)
    parser.add_argument("--seeds", default="0")
    parser.add_argument("--home", type=Path)
    parser.add_argument("--model", default="googlenet")
    parser.add_argument("--weights")
    parser.add_argument("--labels")
    parser.add_argument("--teacher-epochs", type=int)
    parser.add_argument("--plan", choices=["whole", "modules"], default="whole")
    parser.add_argument("--relearn-images", type=int, default=Training(0).relearn_images)
    parser.add_argument("--rate", type=float)
    parser.add_argument("--recipes", default="ours,paper")
    return parser.parse_args()


def plan_of(network: Network, name: str) -> Plan:
    choices = preset("paper", network)
    if name == "modules":
        choices |= {site: "drop norm" for site in choices if site.startswith("streamline:")}
    return Plan.make(network, choices)


def main() -> None:
    given = arguments()
    data = Path(given.data).name
    title = f"the paper's plan ({given.plan}), {given.model}, {data}, {given.input_size} pixels"
    table = Table(title=f"{title}, {given.epochs} passes")
    for heading in _HEADINGS:
        table.add_column(heading, justify="right")
    with tempfile.TemporaryDirectory() as scratch, terminal.bars() as watch:
        home = given.home or Path(scratch)
        for seed in map(int, given.seeds.split(",")):
            setup = ModelConfig(
                model=given.model,
                weights=given.weights,
                labels=given.labels,
                data=given.data,
                input_size=given.input_size,
                teacher_epochs=given.teacher_epochs,
                seed=seed,
            )
            network = workbench(setup, Session(home, watch)).network
            plan = plan_of(network, given.plan)
            score = Latencies(network, Device.named("arm-a57", home)).score(plan)
            file = PlanFile.of_plan(network, plan, "arm-a57", score)
            for recipe in given.recipes.split(","):
                start = time.perf_counter()
                training = Training(
                    given.epochs,
                    recipe,
                    with_labels=True,
                    rate=given.rate,
                    augment=habits_of(given.data).augment,
                    joint=_JOINT if recipe == "paper" else (),
                    relearn_images=given.relearn_images,
                    relearn_steps=habits_of(given.data).relearn_steps,
                )
                out = Path(scratch) / f"{recipe}-{seed}"
                reached = train(file, setup, training, out, Session(home, watch, terminal.note))
                merged, seconds = reached.merged, time.perf_counter() - start
                accuracies = [one.accuracy for one in (reached.teacher, merged) if one.accuracy]
                cells = [f"{one.top1:.2f}" for one in accuracies] + [f"{accuracies[-1].expected:.2f}"]
                terminal.note(f"seed {seed}, {recipe}, teacher, top-1, expected: {cells}, {seconds:.0f} s")
                table.add_row(str(seed), recipe, f"{score.speedup:.2f}x", *cells, f"{seconds:.0f}")
    Console().print(table)


if __name__ == "__main__":
    main()
