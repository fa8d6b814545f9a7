"""A search on the paper's network with real weights and photos, beside its plan (45 minutes on two cores).

python benchmarks/bvlc_search.py WEIGHTS SYNSETS LEARN_FOLDER EVAL_FOLDER [BUDGET] [HOME]
"""

import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from search.results import front  # noqa: E402
from search.study import recorded  # noqa: E402

NAME = "bvlc"
PROXY = ("--bank-images", "1000", "--bank-steps", "60", "--relearn-steps", "40", "--proxy-steps", "2")


def main() -> None:
    weights, synsets, learn, judge, *rest = sys.argv[1:]
    budget = rest[0] if rest else "20"
    home = Path(rest[1] if len(rest) > 1 else "studies")
    command = [
        *(
            "search",
            "--model",
            "bvlc_googlenet",
            "--target",
            "arm-a57",
            "--budget",
            budget,
            "--metric",
            "top5",
        ),
        *("--weights", weights, "--labels", synsets, "--study", NAME, "--home", str(home), *PROXY),
        *("--data", f"imagefolder:{learn}", "--eval-data", f"imagefolder:{judge}"),
    ]
    subprocess.run([sys.executable, "cli.py", *command], cwd=ROOT, check=True)
    found = front.front_of(recorded.read(NAME, f"sqlite:///{home / 'studies.db'}"))
    paper = next(p for p in (*found.points, *found.others) if p.trial == 1)  # the second plan of every study
    table = Table(title=f"{found.trials} trials; untouched {found.baseline['accuracy']:.1f} % top-5")
    for heading in ("plan", "latency ms", "speed-up", "top-5 %", "drop"):
        table.add_column(heading, justify="right")
    for name, p in (*((f"front, trial {p.trial}", p) for p in found.points), ("the paper's", paper)):
        row = (f"{p.latency_ms:.1f}", f"{p.speedup:.2f}x", f"{p.accuracy:.1f}", f"{p.drop:+.1f}")
        table.add_row(name, *row)
    Console().print(table)


if __name__ == "__main__":
    main()
