"""Run the program as a user does."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import optuna

ROOT = Path(__file__).parents[1]
STUDY = "small"
SMALL = ["--model", "tests.networks:with_batch_norm", "--input-size", "24", "--teacher-epochs", "2"]


def run(*arguments: object, home: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "cli.py"), *map(str, arguments)]
    environment = os.environ | {"REBIRTH_HOME": str(home), "COLUMNS": "200"}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600)


def answer(*arguments: object, home: Path) -> Any:
    done = run(*arguments, "--json", home=home)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def search(home: Path, budget: int, *more: object) -> subprocess.CompletedProcess[str]:
    arguments = ["--study", STUDY, "--bank-steps", 10, "--proxy-steps", 3, "--bank-images", 64]
    return run("search", *SMALL, *arguments, "--budget", budget, *more, home=home)


def opened(home: Path) -> optuna.Study:
    return optuna.load_study(study_name=STUDY, storage=f"sqlite:///{home / 'studies.db'}")
