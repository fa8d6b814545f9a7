"""Our full training beside the paper's recipe, under the same number of passes over the images.

python benchmarks/recipes.py [--data DATA] [--input-size PIXELS] [--epochs N] [--seeds N] [--home FOLDER]
    [--model NAME --weights FILE --labels FILE] [--teacher-epochs N] [--plan whole|modules]

The paper's plan (``modules``: the stem's norms dropped, its pooling kept) for torchvision's GoogLeNet, its
teacher trained from scratch on the same images (kept in FOLDER), on digits; or for what is given, from its
weights. Top-1 on the test images, each recipe with as many passes over the images; the seconds hold our pass
from bottom to top too. On two cores some five minutes a seed with digits, and more than an hour for BVLC's
network on 9,000 photos of 128 pixels (both estimated).
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

from merges.plan import Plan  # noqa: E402
from search import report  # noqa: E402
from search.latency import Device, Latencies  # noqa: E402
from search.planfile import PlanFile  # noqa: E402
from search.presets import preset  # noqa: E402
from search.setup import Setup, workbench  # noqa: E402
from search.train import Trained, Training, train  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", default="digits")
    parser.add_argument("--input-size", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=18)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--home", type=Path)
    parser.add_argument("--model", default="googlenet")
    parser.add_argument("--weights")
    parser.add_argument("--labels")
    parser.add_argument("--teacher-epochs", type=int)
    parser.add_argument("--plan", choices=["whole", "modules"], default="whole")
    given = parser.parse_args()
    table = Table(
        title=f"the paper's plan ({given.plan}), {given.model}, {given.data.split('/')[-1]}, "
        f"{given.input_size} pixels, {given.epochs} passes"
    )
    for heading in (
        "seed",
        "speed-up",
        "teacher top-1 %",
        "ours",
        "seconds",
        "the paper's recipe",
        "seconds",
    ):
        table.add_column(heading, justify="right")
    with tempfile.TemporaryDirectory() as scratch, report.bars() as watch:
        home = given.home or Path(scratch)
        for seed in range(given.seeds):
            setup = Setup(
                model=given.model,
                weights=given.weights,
                labels=given.labels,
                data=given.data,
                input_size=given.input_size,
                teacher_epochs=given.teacher_epochs,
                seed=seed,
            )
            network = workbench(setup, home, watch).network
            choices = preset("paper", network)
            if given.plan == "modules":
                choices |= {site: "drop norm" for site in choices if site.startswith("streamline:")}
            plan = Plan.make(network, choices)
            score = Latencies(network, Device.named("arm-a57", home)).score(plan.choice)
            file = PlanFile.of_plan(network, plan, "arm-a57", score)
            reached: list[Trained] = []
            seconds: list[float] = []
            for recipe in ("ours", "paper"):
                start = time.perf_counter()
                training = Training(given.epochs, recipe, augment=given.data != "digits")
                out = Path(scratch) / f"{recipe}-{seed}"
                reached.append(train(file, setup, training, out, home, watch, report.note))
                seconds.append(time.perf_counter() - start)
            cells = [f"{x.merged.top1:.2f}" for x in reached]
            ours, theirs = (f"{spent:.0f}" for spent in seconds)
            teacher = f"{reached[0].teacher.top1:.2f}"
            table.add_row(str(seed), f"{score.speedup:.2f}x", teacher, cells[0], ours, cells[1], theirs)
    Console().print(table)


if __name__ == "__main__":
    main()
