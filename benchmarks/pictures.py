"""The pictures of README and docs: the front of the default search, and the paper's plan of AlexNet.

python benchmarks/pictures.py [--home HOME] [--study STUDY]

Needs Chromium. Without a finished study it first runs the default search with 100 trials, some five minutes.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
PICTURES = ROOT / "docs" / "pictures"
STUDY = "googlenet-arm-a57-digits-64"
SIZE = "1180,760"


def program(*words: str) -> None:
    subprocess.run([sys.executable, str(ROOT / "cli.py"), *words], cwd=ROOT, check=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--home", default=str(ROOT / "studies"))
    parser.add_argument("--study", default=STUDY)
    given = parser.parse_args()
    PICTURES.mkdir(exist_ok=True)
    home = ("--home", given.home)
    if given.study == STUDY:
        program("search", "--budget", "100", *home)
    with tempfile.TemporaryDirectory() as folder:
        page, plan = Path(folder) / "front.html", Path(folder) / "plan.json"
        program("front", "--study", given.study, "--html", str(page), *home)
        chromium = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
        picture = [f"--screenshot={PICTURES / 'front.png'}", f"--window-size={SIZE}"]
        subprocess.run(
            [*chromium, "--virtual-time-budget=10000", *picture, page.as_uri()],
            check=True,
            capture_output=True,
        )
        program("plan", "--preset", "paper", "--model", "bvlc_alexnet", "--out", str(plan))
        program("plan", "show", str(plan), "--svg", str(PICTURES / "plan.svg"))


if __name__ == "__main__":
    main()
