"""The paper's plan on its own network, learned on unlabelled photos: accuracy against minutes (over an hour).

python benchmarks/paper_plan.py WEIGHTS SYNSETS LEARN_FOLDER EVAL_FOLDER [HOME]

All nine inception modules merged, without and with the stem (conv1 and conv2 with norm and pooling): blocks
learned alone, then from bottom to top on the merged network's own features, then the whole network towards
the teacher's answers. Each stage's top-5 on the evaluation photos, and the minutes since the start.
"""

import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from merges.network import Network  # noqa: E402
from search import presets, report  # noqa: E402
from search.latency import Device, Latencies  # noqa: E402
from search.setup import Setup, workbench  # noqa: E402
from training.bank import Bank  # noqa: E402
from training.finetune import Accuracy, assemble, evaluate, finetune  # noqa: E402
from training.lesson import Recipe  # noqa: E402

_ALONE, _BOTTOM_UP = 120, 150
_DISTIL_STEPS, _BATCH, _RATE = 120, 32, 2e-4


def plans(network: Network) -> dict[str, dict[str, str]]:
    whole = presets.preset("paper", network)
    modules = {site: option for site, option in whole.items() if not site.startswith("streamline")}
    return {"nine modules": modules, "nine modules and the stem": whole}


def main() -> None:
    weights, synsets, learn, judge, *rest = sys.argv[1:]
    setup = Setup(
        model="bvlc_googlenet",
        weights=weights,
        labels=synsets,
        data=f"imagefolder:{learn}",
        eval_data=f"imagefolder:{judge}",
    )
    table = Table(title="the paper's plan, learned on unlabelled photos")
    for heading in ("merged", "ms on arm-a57", "stage", "minutes", "top-5 %", "top-1 %"):
        table.add_column(heading, justify="right" if heading[0] in "mt" and heading != "merged" else "left")
    with tempfile.TemporaryDirectory() as scratch, report.bars() as watch:
        home = Path(rest[0] if rest else scratch)
        bench = workbench(setup, home, watch)
        latencies = Latencies(bench.network, Device.named("arm-a57", home))
        images = bench.preprocess(bench.data.train.pixels)
        recipe = Recipe(images=len(images), steps=_ALONE)
        bank = Bank(bench.network, images, home / "bank", bench.data.fingerprint, recipe)
        teacher, _ = bench.judge(bench.data.proxy)
        logits = bench.judge(bench.data.train)[1]
        table.add_row("nothing", f"{latencies.score({}).latency_ms:.0f}", "teacher", "0", *_percent(teacher))
        for name, plan in plans(bench.network).items():
            start = time.perf_counter()

            def stage(what: str, merged, name=name, plan=plan, start=start) -> None:  # type: ignore[no-untyped-def]
                minutes = (time.perf_counter() - start) / 60
                reached, _ = evaluate(merged, bench.inputs(bench.data.proxy), bench.data.proxy.labels)
                ms = f"{latencies.score(plan).latency_ms:.0f}"
                table.add_row(name, ms, what, f"{minutes:.1f}", *_percent(reached))
                Console().print(f"{name}, {what}: {minutes:.1f} min, {reached.top5:.1f} % top-5")

            stage("blocks learned alone", assemble(bank, plan, 0))
            merged = assemble(bank, plan, _BOTTOM_UP, watch("from bottom to top"))
            stage("from bottom to top", merged)
            for turn in range(3):
                part = watch(f"distilling, part {turn + 1}")
                inputs = bench.inputs(bench.data.train)
                finetune(merged, inputs, logits, _DISTIL_STEPS, _BATCH, _RATE, turn, part)
                stage(f"and {(turn + 1) * _DISTIL_STEPS} steps of the whole", merged)
    Console().print(table)


def _percent(accuracy: Accuracy) -> tuple[str, str]:
    return f"{accuracy.top5:.1f}", f"{accuracy.top1:.1f}"


if __name__ == "__main__":
    main()
