"""The paper's plan on its own network, learned on unlabelled photos: accuracy against minutes.

python benchmarks/paper_plan.py WEIGHTS SYNSETS LEARN_FOLDER EVAL_FOLDER [modules|stem] [STEPS] [EPOCHS]

``modules`` (default): all nine inception modules merged; ``stem``: conv1 and conv2 with norm and pooling too.
As ``train`` does it: closed form and descent from bottom to top on the merged network's own features, then
the whole network towards the teacher's answers and features, on random parts of the photos. Top-5 on the
evaluation photos after each stage. Twenty-one minutes with 3000 steps a block and 6 epochs, on two cores.
"""

import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table
from torch import fx

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from search import presets, report  # noqa: E402
from search.latency import Device, Latencies  # noqa: E402
from search.setup import Setup, workbench  # noqa: E402
from training.bank import Bank  # noqa: E402
from training.finetune import Accuracy, assemble, evaluate  # noqa: E402
from training.fit import Fit, fit  # noqa: E402
from training.lesson import Recipe  # noqa: E402
from training.optim import half_pays  # noqa: E402
from training.ways import Distilled  # noqa: E402

_BOTTOM_UP = 3000
_EPOCHS = 6


def main() -> None:
    weights, synsets, learn, judge, *rest = sys.argv[1:]
    part = rest[0] if rest else "modules"
    steps, epochs = (int(given) for given in (*rest[1:], *(_BOTTOM_UP, _EPOCHS)[len(rest[1:]) :]))
    setup = Setup(
        model="bvlc_googlenet",
        weights=weights,
        labels=synsets,
        data=f"imagefolder:{learn}",
        eval_data=f"imagefolder:{judge}",
    )
    table = Table(title=f"the paper's plan ({part}), learned on unlabelled photos")
    for heading in ("stage", "ms on arm-a57", "minutes", "top-5 %", "top-1 %"):
        table.add_column(heading, justify="left" if heading == "stage" else "right")
    with tempfile.TemporaryDirectory() as scratch, report.bars() as watch:
        home = Path(scratch)
        bench = workbench(setup, home, watch)
        plan = presets.preset("paper", bench.network)
        if part == "modules":
            plan = {site: option for site, option in plan.items() if not site.startswith("streamline")}
        latencies = Latencies(bench.network, Device.named("arm-a57", home))
        start = time.perf_counter()

        def stage(what: str, choices: dict[str, str], reached: Accuracy) -> None:
            minutes = (time.perf_counter() - start) / 60
            ms = latencies.score(choices).latency_ms
            table.add_row(what, f"{ms:.0f}", f"{minutes:.1f}", f"{reached.top5:.1f}", f"{reached.top1:.1f}")
            Console(stderr=True).print(f"{what}: {minutes:.1f} min, {reached.top5:.1f} % top-5")

        def judged(merged: fx.GraphModule) -> Accuracy:
            return evaluate(merged, bench.inputs(bench.data.proxy), bench.data.proxy.labels)[0]

        stage("untouched", {}, bench.judge(bench.data.proxy)[0])
        start = time.perf_counter()
        images = bench.preprocess(bench.data.train.pixels)
        recipe = Recipe(images=len(images), steps=0, half=half_pays())
        bank = Bank(bench.network, images, home / "bank", bench.data.fingerprint, recipe)
        merged = assemble(bank, plan, steps, watch("from bottom to top"))
        stage("from bottom to top", plan, judged(merged))
        blocks = [block.name for block in bench.network.blocks if block.choices(plan)]
        fit(
            merged,
            Distilled(bench.network.skeleton(), blocks),
            bench.changed,
            len(bench.data.train),
            Fit(epochs, half=half_pays()),
            home,
            watch("the whole network"),
        )
        stage(f"and {epochs} epochs of the whole", plan, judged(merged))
    Console().print(table)


if __name__ == "__main__":
    main()
