"""The paper's network narrowed, searched and trained with few photos (three hours of one core).

python benchmarks/narrow_bvlc.py BVLC_WEIGHTS SYNSETS IMAGENETTE HOME [SHARE]

A search of 40 trials on `arm-a57` at 128 pixels, then 9 passes for the front's best plan that is at least as
fast as the paper's (3.37x), beside the figures of ``recipe_trials.py``.
"""

import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

import rebirth  # noqa: E402
from benchmarks.rival_cases import bvlc  # noqa: E402
from search.commands import terminal  # noqa: E402

_AS_FAST, _TRIALS, _PASSES = 3.37, 40, 9


def main() -> None:
    weights, labels, data, home, *rest = sys.argv[1:]
    share = float(rest[0]) if rest else 0.5
    with terminal.bars() as watch:
        study = rebirth.search(
            home,
            None,
            watch,
            terminal.note,
            **bvlc(weights, labels, data),
            narrow=share,
            target="arm-a57",
            budget=_TRIALS,
            name=f"bvlc-{share:g}",
        )
        front = rebirth.front(study)
        table = Table(title=f"before training; untouched {front.baseline['accuracy']:.2f} %")
        for heading in ("speed-up", "expected top-1 %"):
            table.add_column(heading, justify="right")
        for point in front.points:
            table.add_row(f"{point.speedup:.2f}x", f"{point.accuracy:.2f}")
        Console().print(table)
        plan = rebirth.plan(study, speedup=_AS_FAST)
        out = Path(home) / f"run-{share:g}"
        done = rebirth.train(plan, str(out), home=home, watch=watch, note=terminal.note, epochs=_PASSES)
    merged, teacher = done.merged.accuracy, done.teacher.accuracy
    assert merged
    assert teacher
    print(f"{plan.speedup:.2f}x: {merged.top1:.2f} %, teacher {teacher.top1:.2f} %")


if __name__ == "__main__":
    main()
