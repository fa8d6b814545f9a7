"""Mutated arguments and files of every kind: no traceback, no hang, no half file.

python benchmarks/fuzz.py [--cases 5000] [--first 0]

All run in this process, each with a minute's time; what fails is printed with its number, and a table at the
end counts exit codes by kind. Some twenty minutes for 5,000.
"""

import argparse
import faulthandler
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from tests.fuzz import Cases, left_half_written  # noqa: E402
from tests.program import run  # noqa: E402

LIMIT_S = 60


class HangError(BaseException):
    """A case took too long."""


def _hang(number: int, frame: object) -> None:
    raise HangError


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=5000)
    parser.add_argument("--first", type=int, default=0)
    given = parser.parse_args()
    faulthandler.enable()
    signal.signal(signal.SIGALRM, _hang)
    codes: Counter[tuple[str, int]] = Counter()
    wrong, slowest = 0, 0.0
    with tempfile.TemporaryDirectory() as folder:
        cases = Cases(Path(folder))
        for number in range(given.first, given.first + given.cases):
            case = cases.made(number)
            start = time.perf_counter()
            signal.alarm(LIMIT_S)
            try:
                done = run(*case.arguments, home=case.home, folder=case.home)
                code, errors = done.returncode, done.stderr
            except HangError:
                code, errors = 124, "Traceback: no answer in a minute"
            signal.alarm(0)
            slowest = max(slowest, time.perf_counter() - start)
            codes[case.kind, code] += 1
            if code not in (0, 1, 2) or "Traceback" in errors or left_half_written(case):
                wrong += 1
                print(number, case.arguments, errors[-1500:], left_half_written(case), flush=True)
    table = Table(title=f"{given.cases} cases, {wrong} wrong, the slowest took {slowest:.0f} s")
    for heading in ("kind", "exit code", "cases"):
        table.add_column(heading, justify="left" if heading == "kind" else "right")
    for (kind, code), count in sorted(codes.items()):
        table.add_row(kind, str(code), str(count))
    Console().print(table)


if __name__ == "__main__":
    main()
