"""Predicted and measured speed-up of the README's plan, from tables timed anew (a minute).

python benchmarks/first_hour.py RUN ORIGINAL MODEL [--times 5]

RUN is the folder that `train` wrote, ORIGINAL and MODEL are what `export` wrote (with or without suffix). For
every runtime that this machine can run, and so many times: a table of the plan's kernels is timed into an
empty folder, then both files are timed in turn as `export` and `bench` do it, with one thread.
"""

import argparse
import statistics
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from search.commands import terminal  # noqa: E402
from search.deploy.runs import plan_of  # noqa: E402
from search.deploy.timings import measured, predictions  # noqa: E402
from search.scoring.device import Device  # noqa: E402
from training.progress import Session  # noqa: E402
from training.workbench import structure  # noqa: E402

TARGETS = {"host": ".onnx", "host-ncnn": ".param"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("files", type=Path, nargs=2)
    parser.add_argument("--times", type=int, default=5)
    given = parser.parse_args()
    plan_file = plan_of(given.run)
    network = structure(plan_file.network, plan_file.input_shape[1], plan_file.classes)
    plan = plan_file.fitted(network)
    table = Table(title=f"{plan_file.network}, plan {plan_file.plan_id}: speed-up, one thread")
    for heading in ("target", "predicted", "measured", "predicted / measured, medians"):
        table.add_column(heading, justify="left" if heading == "target" else "right")
    for target, suffix in TARGETS.items():
        pairs = []
        for time in range(given.times):
            with tempfile.TemporaryDirectory() as home:
                device = Device.named(target, Path(home))
                told = predictions(network, plan, device, (), 1, Session(Path(home)))[0]
            files = [path.with_suffix(suffix) for path in given.files]
            timed = measured(files, network.input_shape, 1)
            pairs.append((told.speedup, timed.speedup))
            terminal.note(
                f"{target}, table {time + 1}: predicted {told.original_ms:.2f} and {told.merged_ms:.2f} ms "
                f"({told.speedup:.2f}x), measured {timed.original_ms:.2f} and {timed.merged_ms:.2f} ms "
                f"({timed.speedup:.2f}x)"
            )
        predicted, seen = zip(*pairs, strict=True)
        table.add_row(
            target,
            " ".join(f"{value:.2f}" for value in predicted),
            " ".join(f"{value:.2f}" for value in seen),
            f"{statistics.median(predicted) / statistics.median(seen):.3f}",
        )
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
