"""Run a benchmark script and keep what it prints, which a test compares with the numbers in README and docs.

python benchmarks/stored.py paper_rows [ARGUMENTS]

Written to benchmarks/results/NAME.txt: the command, what it ran with, then its output.
"""

import os
import platform
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from training.files import replacing  # noqa: E402

_PACKAGES = ("torch", "onnxruntime", "ncnn", "optuna")


def main() -> None:
    """Run the script, show its output, and keep it where the script succeeds."""
    name, *arguments = sys.argv[1:]
    command = ["python", f"benchmarks/{name}.py", *(Path(argument).name for argument in arguments)]
    wide = os.environ | {"COLUMNS": "160"}
    script = [sys.executable, str(ROOT / f"benchmarks/{name}.py"), *arguments]
    output = subprocess.run(script, env=wide, stdout=subprocess.PIPE, text=True, check=True).stdout
    versions = ", ".join(f"{package} {version(package)}" for package in _PACKAGES)
    head = f"# {' '.join(command)}\n# {platform.machine()}, {os.cpu_count()} cores, {versions}\n\n"
    with replacing(ROOT / f"benchmarks/results/{name}.txt") as path:
        path.write_text(head + output)
    print(output)


if __name__ == "__main__":
    main()
