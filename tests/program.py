"""Run the program as a user does."""

import contextlib
import io
import json
import os
import subprocess
import sys
import traceback
from pathlib import Path
from typing import Any
from unittest import mock

import optuna

from search.commands import main as cli

ROOT = Path(__file__).parents[1]
STUDY = "small"
SMALL = ["--model", "tests.networks:with_batch_norm", "--input-size", "24", "--teacher-epochs", "2"]


def run(*arguments: object, home: Path, folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Run a command in this process, in a folder: starting one takes longer than most commands do."""
    given = list(map(str, arguments))
    out, err, code = io.StringIO(), io.StringIO(), 0
    environment = {"REBIRTH_HOME": str(home), "COLUMNS": "200"}
    with (
        mock.patch.dict(os.environ, environment),
        mock.patch.object(sys, "argv", ["cli.py", *given]),
        contextlib.chdir(folder),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            cli.main()
        except SystemExit as end:
            code = int(end.code or 0)
        except Exception:
            err.write(traceback.format_exc())
            code = 1
    return subprocess.CompletedProcess(given, code, out.getvalue(), err.getvalue())


def answer(*arguments: object, home: Path) -> Any:
    done = run(*arguments, "--json", home=home)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def search(home: Path, budget: int, *more: object) -> subprocess.CompletedProcess[str]:
    arguments = ["--study", STUDY, "--bank-steps", 10, "--proxy-steps", 3, "--bank-images", 64]
    return run("search", *SMALL, *arguments, "--budget", budget, *more, home=home)


def opened(home: Path) -> optuna.Study:
    return optuna.load_study(study_name=STUDY, storage=f"sqlite:///{home / 'studies.db'}")
