"""What a trial may cost, in seconds."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import optuna
import pytest
import torch

from search.commands import terminal
from search.evaluation.proxy_budget import carried_on
from search.proxy import Proxy
from search.study.records import StudyRecord
from tests.program import ROOT, run
from training.errors import BadInputError
from training.progress import Watch

SMALL = ("--model", "tests.networks:mixed", "--input-size", "24", "--study", "s")
PROXY = ("--bank-steps", "2", "--bank-images", "30", "--relearn-steps", "1")


def test_seconds_become_steps_that_a_study_keeps(tmp_path: Path) -> None:
    def search(budget: int, seconds: float) -> tuple[int, str]:
        done = run("search", *SMALL, *PROXY, "--budget", budget, "--proxy-seconds", seconds, home=tmp_path)
        return done.returncode, done.stderr

    def steps() -> int:
        study = optuna.load_study(study_name="s", storage=f"sqlite:///{tmp_path / 'studies.db'}")
        assert StudyRecord.read(study).arguments["proxy_seconds"] == 3
        return StudyRecord.read(study).proxy.finetune_steps

    code, said = search(1, 1e-6)
    assert code == 2
    assert "even without fine-tuning" in said
    code, said = search(2, 3)
    assert code == 0, said
    found = steps()
    assert found > 0
    assert f"--proxy-steps {found}" in said
    code, said = search(3, 3)
    assert code == 0, said
    assert steps() == found
    with pytest.raises(BadInputError, match="begun with `proxy_seconds` 3"):
        carried_on(3, 4, Proxy(), 2)
    with pytest.raises(BadInputError, match="begun with `proxy_steps`"):
        carried_on(None, 4, Proxy(), 2)


def test_seconds_of_a_search_that_trains_nothing_are_refused(tmp_path: Path) -> None:
    done = run("search", *SMALL, "--zero-shot", "--proxy-seconds", 1, home=tmp_path)
    assert done.returncode == 2
    assert "--zero-shot trains nothing" in done.stderr


def test_a_search_killed_while_its_teacher_learns_repeats_no_finished_epoch(tmp_path: Path) -> None:
    """Killed without warning, then started again: it goes on behind the last epoch that is kept."""
    epochs = 40
    search = ("search", "--model", "tests.networks:with_batch_norm", "--input-size", "24", "--budget", "1")
    search += ("--teacher-epochs", str(epochs), *PROXY)
    command = [sys.executable, "cli.py", *search, "--home", str(tmp_path)]
    running = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL)
    kept = wait_for(lambda: list(tmp_path.glob("teachers/[!.]*.checkpoint")), running)
    running.kill()
    running.wait()
    done = len(torch.load(kept[0], weights_only=True)["done"]["losses"])
    assert 1 <= done < epochs
    told: list[tuple[int, int]] = []

    @contextmanager
    def bars() -> Iterator[Watch]:
        yield lambda what: lambda step, steps: told.append((step, steps)) if "teacher" in what else None

    with mock.patch.object(terminal, "bars", bars):
        assert run(*search, home=tmp_path).returncode == 0
    (first, steps), (last, _) = told[0], told[-1]
    assert first == done * steps // epochs + 1
    assert last == steps


def wait_for(found: Callable[[], list[Path]], running: subprocess.Popen[bytes]) -> list[Path]:
    """What is found while a process runs."""
    deadline = time.monotonic() + 120
    while not found():
        assert running.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return found()
