"""Limits of a search: said before it begins, kept by every plan that is trained."""

from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

from search.study.marks import reason_of
from search.study.records import StudyRecord
from tests.program import run

SMALL = ("--model", "tests.networks:mixed", "--input-size", "24", "--study", "s")
PROXY = ("--bank-steps", "2", "--bank-images", "30", "--proxy-steps", "2", "--relearn-steps", "1")


def test_no_plan_beyond_a_limit_is_trained(tmp_path: Path) -> None:
    done = run("search", *SMALL, *PROXY, "--budget", 6, "--max-latency", "60%", home=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "reachable at best: latency" in done.stderr
    study = optuna.load_study(study_name="s", storage=f"sqlite:///{tmp_path / 'studies.db'}")
    untouched = StudyRecord.read(study).baseline.cost.latency_ms
    finished = study.get_trials(states=(TrialState.COMPLETE,))
    assert len(finished) == 6
    assert all(trial.values[0] <= 0.6 * untouched for trial in finished)
    pruned = study.get_trials(states=(TrialState.PRUNED,))
    assert any("exceeds `max_latency` 60%" in reason_of(trial) for trial in pruned)


def test_a_search_that_runs_out_of_plans_says_so(tmp_path: Path) -> None:
    done = run("search", *SMALL, *PROXY, "--only", "strided:*", "--budget", 6, home=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "ended after 2 of 6 trials: found no other plan worth training" in done.stderr


def test_limits_that_no_plan_keeps_together_end_with_a_reason(tmp_path: Path) -> None:
    limits = ("--max-latency", "3.2ms", "--max-params", "0.0138")
    done = run("search", *SMALL, *PROXY, "--only", "branch:*", *limits, "--budget", 6, home=tmp_path)
    assert done.returncode == 1
    assert "ended after 0 of 6 trials" in done.stderr
    assert "exceeds --max-latency" in done.stderr


@pytest.mark.parametrize(
    ("limit", "reason"),
    [
        (("--max-latency", "1%"), "no plan was found within the limits"),
        (("--max-params", "0.0001"), "exceed --max-params"),
        (("--max-memory", "0.001"), "exceeds --max-memory"),
        (("--max-latency", "fast"), "expected milliseconds as 40ms, or 50%"),
    ],
)
def test_what_cannot_be_reached_is_said_first(tmp_path: Path, limit: tuple[str, ...], reason: str) -> None:
    done = run("search", *SMALL, *PROXY, "--budget", 6, *limit, home=tmp_path)
    assert done.returncode == 2
    assert reason in done.stderr
    assert "s" not in optuna.get_all_study_names(f"sqlite:///{tmp_path / 'studies.db'}")
