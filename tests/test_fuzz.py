"""Mutated input ends in one sentence and an exit code: never in a traceback or with half a file."""

import gc
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzz import Case, Cases, left_half_written
from tests.program import ROOT, run

COUNT, PROCESSES = 200, 20
KINDS, LIGHT = 8, (0, 7)  # arguments and databases, which seldom wait for torch
GROUPS = 8


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> Cases:
    return Cases(tmp_path_factory.mktemp("fuzz"))


def check(case: Case, code: int, errors: str) -> None:
    assert code in (0, 1, 2), (case, errors)
    assert "Traceback" not in errors, (case, errors)
    assert code == 0 or "error: " in errors, (case, errors)
    assert not left_half_written(case), case


@pytest.mark.slow
@pytest.mark.parametrize("group", range(GROUPS))
def test_mutated_input_never_ends_in_a_traceback(group: int, cases: Cases) -> None:
    for number in range(group, COUNT, GROUPS):
        case = cases.made(number)
        gc.disable()  # what other tests left, finalised deep in a recursion, would be told on standard error
        done = run(*case.arguments, home=case.home, folder=case.home)
        gc.enable()
        check(case, done.returncode, done.stderr)


@pytest.mark.slow
def test_nor_does_it_in_processes_of_their_own(cases: Cases) -> None:
    for number in range(PROCESSES):
        case = cases.made(COUNT + KINDS * (number // 2) + LIGHT[number % 2])
        done = subprocess.run(
            [sys.executable, str(ROOT / "cli.py"), *(word.replace("\0", "") for word in case.arguments)],
            cwd=case.home,
            env=os.environ | {"REBIRTH_HOME": str(case.home), "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            errors="replace",
            timeout=60,
        )
        check(case, done.returncode, done.stderr)


def test_the_same_number_makes_the_same_case(cases: Cases, tmp_path: Path) -> None:
    first, again = cases.made(10_001), Cases.__new__(Cases)
    again.__dict__ |= cases.__dict__ | {"folder": tmp_path}
    second = again.made(10_001)
    assert [word.replace(str(tmp_path), str(cases.folder)) for word in second.arguments] == list(
        first.arguments
    )
