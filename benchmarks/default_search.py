"""The README's first search in an empty home: seconds and front (four to nine minutes on two cores).

python benchmarks/default_search.py [BUDGET [FLAG...]]     # flags of `search`, such as --narrow 0.5
"""

import json
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).parents[1]
_DROPS = (0.5, 1, 2, 4, 8)


def main() -> None:
    budget, *flags = sys.argv[1:] or ["100"]
    with tempfile.TemporaryDirectory() as home:
        start = time.perf_counter()
        command = ["search", "--target", "arm-a57", "--budget", budget, *flags, "--home", home, "--json"]
        done = subprocess.run(
            [sys.executable, "cli.py", *command], cwd=ROOT, stdout=subprocess.PIPE, check=True
        )
        seconds = time.perf_counter() - start
    found = json.loads(done.stdout)
    table = Table(title=f"search {shlex.join(command[1:-3])}: {seconds:.0f} s, teacher included")
    for heading in ("trial", "latency ms", "speed-up", "expected top-1 %", "drop", "top-1 %"):
        table.add_column(heading, justify="right")
    for p in found["points"]:
        row = (f"{p['latency_ms']:.2f}", f"{p['speedup']:.2f}x", f"{p['accuracy']:.2f}", f"{p['drop']:+.2f}")
        table.add_row(str(p["trial"]), *row, f"{p['top1']:.2f} +-{p['top1_standard_error']:.2f}")
    Console().print(table)
    points = found["points"]
    print(
        f"{len(points)} plans on the front, from {points[0]['speedup']:.1f}x to {points[-1]['speedup']:.1f}x"
    )
    for drop in _DROPS:
        within = [p["speedup"] for p in points if p["drop"] <= drop]
        print(f"the fastest that loses at most {drop:g} points: {max(within):.2f}x")


if __name__ == "__main__":
    main()
