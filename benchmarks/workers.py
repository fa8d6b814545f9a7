"""Trials a minute of one worker and of several, a thread each, on this machine.

python benchmarks/workers.py [--trials 24] [--workers 1,2,4]

The default search (GoogLeNet, digits, arm-a57), its teacher trained before; every row learns its blocks anew,
into a bank of its own. Starting the workers is not counted, since it takes as long for any budget: the clock
runs from the first finished trial to the last. Some eight minutes.
"""

import argparse
import os
import sys
import tempfile
from pathlib import Path

for _library in ("OMP", "MKL", "OPENBLAS"):
    os.environ[f"{_library}_NUM_THREADS"] = "1"

from rich.console import Console  # noqa: E402
from rich.table import Table  # noqa: E402

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

import rebirth  # noqa: E402
from search.commands import terminal  # noqa: E402
from search.study.study import finished, open_study  # noqa: E402


def seconds_a_trial(study: rebirth.Study) -> float:
    """From the end of the first trial to the end of the last."""
    ends = sorted(trial.datetime_complete for trial in finished(open_study(study.name, study.url)))  # type: ignore[type-var]
    return (ends[-1] - ends[0]).total_seconds() / (len(ends) - 1)  # type: ignore[operator]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=24)
    parser.add_argument("--workers", default="1,2,4")
    given = parser.parse_args()
    table = Table(title=f"default search, {given.trials} trials, {os.cpu_count()} cores")
    for heading in ("workers", "trials a minute", "of one worker"):
        table.add_column(heading, justify="right")
    with tempfile.TemporaryDirectory() as home, terminal.bars() as watch:

        def run(name: str, workers: int) -> float:
            bank = f"{home}/{name}"
            made = rebirth.search(
                home, None, watch, budget=given.trials, workers=workers, name=name, bank=bank
            )
            return 60 / seconds_a_trial(made)

        rebirth.search(home, None, watch, budget=1, name="teacher")
        alone = 0.0
        for workers in map(int, given.workers.split(",")):
            reached = run(f"w{workers}", workers)
            alone = alone or reached
            table.add_row(str(workers), f"{reached:.1f}", f"{reached / alone:.2f}x")
    Console().print(table)


if __name__ == "__main__":
    main()
