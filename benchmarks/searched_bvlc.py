"""Searched plans of the paper's network, trained with few photos (two hours of one core).

python benchmarks/searched_bvlc.py WEIGHTS SYNSETS IMAGENETTE HOME [--narrow 1 0.75] [--speedup 3.37 4.5]

Searches on `arm-a57` at 128 pixels, of the whole network (1) or of narrowed ones, for plans that are at
least as fast as the least that is asked; every trial fine-tunes the whole network for 40 steps. Then 9 passes
for the best plan at each speed. The paper's whole plan (3.37x) is in ``recipes.py`` and ``recipe_trials.py``.
What is done is kept in HOME.
"""

import argparse
import sys
from pathlib import Path

from rich.console import Console

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

import rebirth  # noqa: E402
from benchmarks.rival_cases import bvlc  # noqa: E402
from search.commands import terminal  # noqa: E402
from search.results.tables import front_table  # noqa: E402

_AS_FAST, _TRIALS, _STEPS, _PASSES = 3.37, 40, 40, 9
_MOST_LOST = 60.0  # points before training: what is as fast loses most of its accuracy at first


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    for name in ("weights", "labels", "data"):
        parser.add_argument(name)
    parser.add_argument("home", type=Path)
    parser.add_argument("--narrow", type=float, nargs="*", default=[1.0])
    parser.add_argument("--speedup", type=float, nargs="*", default=[_AS_FAST])
    return parser.parse_args()


def main() -> None:
    given = arguments()
    least = min(given.speedup)
    fields = bvlc(given.weights, given.labels, given.data) | {
        "target": "arm-a57",
        "budget": _TRIALS,
        "proxy_steps": _STEPS,
        "max_latency": f"{100 / least}%",
        "max_drop": _MOST_LOST,
    }
    with terminal.bars() as watch:
        studies = [
            rebirth.search(
                given.home,
                None,
                watch,
                terminal.note,
                **fields,
                narrow=share,
                name=f"bvlc-{share:g}-{least:g}x",
            )
            for share in given.narrow
        ]
        Console(width=140).print(front_table(rebirth.front(studies)))
        for speedup in given.speedup:
            plan = rebirth.plan(studies, speedup=speedup)
            out = str(given.home / f"run-{plan.plan_id}")
            done = rebirth.train(plan, out, home=given.home, watch=watch, note=terminal.note, epochs=_PASSES)
            merged, teacher = done.merged.accuracy, done.teacher.accuracy
            assert merged
            assert teacher
            about = f"narrowed to {plan.narrow:g}" if plan.narrow else "whole"
            print(
                f"trial {plan.trial}, {about}, {plan.speedup:.2f}x: {merged.top1:.2f} %, "
                f"teacher {teacher.top1:.2f} %",
                flush=True,
            )


if __name__ == "__main__":
    main()
