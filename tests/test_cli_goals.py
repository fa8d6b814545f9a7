"""More than latency and accuracy: memory, parameters, and latencies on several targets at once."""

from pathlib import Path

import optuna
import pytest

from search.scoring.objectives import wanted
from tests.program import answer, run
from training.errors import BadInputError

SMALL = ("--model", "tests.networks:with_batch_norm", "--input-size", "24", "--study", "s")
PROXY = ("--bank-steps", "2", "--bank-images", "30", "--proxy-steps", "1", "--relearn-steps", "1")
ALSO = ("--target", "arm-a57", "--target", "rk3588-a55")
GOALS = ("--objectives", "latency,accuracy,memory,parameters", *ALSO)
TITLES = ["memory (MiB)", "parameters (M)", "latency on rk3588-a55 (ms)"]


def test_every_objective_is_judged_and_shown(tmp_path: Path) -> None:
    found = answer("search", *SMALL, *PROXY, *GOALS, "--budget", 14, home=tmp_path)
    assert list(found["goals"]) == TITLES
    for point in found["points"]:
        assert point["goals"]["parameters (M)"] == pytest.approx(point["parameters"] / 1e6)
    study = optuna.load_study(study_name="s", storage=f"sqlite:///{tmp_path / 'studies.db'}")
    assert study.metric_names == ["latency (ms)", "accuracy (%)", *TITLES]
    assert {point["trial"] for point in found["points"]} <= {trial.number for trial in study.best_trials}
    page = tmp_path / "front.html"
    table = run("front", "--study", "s", "--html", page, home=tmp_path)
    assert all(word in table.stdout for word in ("latency", "memory", "(MiB)"))
    assert "<th>memory (MiB)</th>" in page.read_text()
    other = run("search", *SMALL, *PROXY, "--budget", 15, home=tmp_path)
    assert other.returncode == 2
    assert "was made with goals 'memory (MiB)', 'parameters (M)'" in other.stderr


def test_unknown_objectives_are_refused(tmp_path: Path) -> None:
    done = run("search", *SMALL, "--objectives", "latency,accuracy,beauty", home=tmp_path)
    assert done.returncode == 2
    assert "expected latency,accuracy, and any of memory,parameters" in done.stderr
    for objectives in ("latency,memory", "", "accuracy"):
        with pytest.raises(BadInputError):
            wanted(objectives)
    assert wanted("latency, accuracy,memory") == ("memory",)
