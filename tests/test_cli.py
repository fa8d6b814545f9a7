"""The program as a user runs it: the whole way on a small network."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import onnx
import optuna
import pytest
from click.testing import CliRunner
from optuna.trial import TrialState

from search.commands import main as cli
from search.study.records import StudyRecord, TrialRecord
from search.study.storage import storage_of
from tests.program import ROOT, SMALL, STUDY, answer, opened, run, search


def studies_of(home: Path) -> list[str]:
    """Names of the studies in a database that may be in the making."""
    database = home / "studies.db"
    return optuna.get_all_study_names(storage_of(f"sqlite:///{database}")) if database.exists() else []


EXACT = ("compose:", "shortcut:", "parallel:")


def test_trials_carry_everything_that_was_decided_and_paid(home: Path) -> None:
    study = opened(home)
    finished = study.get_trials(states=(TrialState.COMPLETE,))
    assert len({TrialRecord.read(t).plan_id for t in finished}) == len(finished) == 6
    for trial in finished:
        record = TrialRecord.read(trial)
        assert sum(record.cost.by_class_ms.values()) == pytest.approx(trial.values[0])
        assert record.cost.macs > 0
        assert record.cost.parameters > 0
        assert record.seconds > 0
        assert record.accuracies
        assert 0 <= record.accuracies.top1 <= record.accuracies.top5 <= 100
        assert record.peak_activation_bytes > 0
        searched = {site for site in record.plan if not site.startswith(EXACT)}
        assert searched <= set(trial.params)
    made = StudyRecord.read(study)
    assert made.versions["optuna"] == optuna.__version__
    assert made.arguments["budget"] == 6
    assert made.model.input_size == 24


def test_the_same_command_continues_the_study(home: Path) -> None:
    before = [t.number for t in opened(home).get_trials(states=(TrialState.COMPLETE,))]
    assert search(home, 6).returncode == 0
    assert [t.number for t in opened(home).get_trials(states=(TrialState.COMPLETE,))] == before
    assert search(home, 8).returncode == 0
    assert len(opened(home).get_trials(states=(TrialState.COMPLETE,))) == 8
    refused = search(home, 9, "--no-resume")
    assert refused.returncode == 2
    assert f"study {STUDY!r} exists" in refused.stderr


def test_a_study_does_not_go_on_with_other_latencies(home: Path) -> None:
    study = opened(home)
    made = StudyRecord.read(study)
    cost = made.baseline.cost.model_copy(update={"latency_ms": 1.1 * made.baseline.cost.latency_ms})
    baseline = made.baseline.model_copy(update={"cost": cost})
    made.model_copy(update={"baseline": baseline}).write(study)
    refused = search(home, 8)
    made.write(study)
    assert refused.returncode == 2
    assert f"latencies on {made.target} are not those that study {STUDY!r} was begun with" in refused.stderr
    assert search(home, 8).returncode == 0


def test_one_seed_gives_the_same_plans_and_accuracies(home: Path, tmp_path: Path) -> None:
    (tmp_path / "studies").mkdir()
    assert search(tmp_path, 6).returncode == 0
    trials = [opened(where).get_trials(states=(TrialState.COMPLETE,))[:6] for where in (home, tmp_path)]
    assert [TrialRecord.read(t).plan_id for t in trials[0]] == [
        TrialRecord.read(t).plan_id for t in trials[1]
    ]
    assert [t.values for t in trials[0]] == [t.values for t in trials[1]]


def test_from_front_to_onnx(home: Path, tmp_path: Path) -> None:
    found = answer(
        "front", "--study", STUDY, "--csv", tmp_path / "f.csv", "--html", tmp_path / "f.html", home=home
    )
    assert {"study", "network", "target", "trials", "baseline", "points"} <= set(found)
    assert set(found["baseline"]) == {"latency_ms", "accuracy", "top1"}
    keys = {"trial", "plan_id", "latency_ms", "speedup", "accuracy", "drop", "top1", "macs", "parameters"}
    assert all(keys <= set(point) for point in found["points"])
    assert len((tmp_path / "f.csv").read_text().splitlines()) == len(found["points"]) + 1
    assert "https://" not in (tmp_path / "f.html").read_text().partition("<script")[0]

    fastest = min(found["points"], key=lambda p: p["latency_ms"])
    plan = answer(
        "plan", "--study", STUDY, "--trial", fastest["trial"], "--out", tmp_path / "plan.json", home=home
    )
    fields = {
        "plan_id",
        "network",
        "target",
        "latency_ms",
        "baseline_latency_ms",
        "speedup",
        "kind",
        "choices",
    }
    assert fields <= set(plan)
    assert plan == json.loads((tmp_path / "plan.json").read_text())
    assert plan["plan_id"] == fastest["plan_id"]
    assert plan["choices"]

    train = ["train", "--plan", tmp_path / "plan.json", "--trust", "--out", tmp_path / "run"]
    trained = answer(*train, "--epochs", 1, home=home)
    assert 0 <= trained["merged"]["top1"] <= 100
    assert trained["images"] == 450
    again = answer(*train, "--epochs", 1, home=home)
    assert again == trained
    other = run(*train, "--epochs", 2, home=home)
    assert other.returncode == 2
    assert "another --out" in other.stderr

    exported = answer("export", "--run", tmp_path / "run", "--trust", "--out", tmp_path / "m.onnx", home=home)
    assert {"onnx", "max_abs_error", "top1_agreement", "latency_ms", "speedup"} <= set(exported)
    assert set(exported["latency_ms"]) == {"original", "merged"}
    assert exported["top1_agreement"] == 100
    onnx.checker.check_model(str(tmp_path / "m.onnx"))
    beside = json.loads((tmp_path / "m.json").read_text())
    inside = {fact.key: json.loads(fact.value) for fact in onnx.load(tmp_path / "m.onnx").metadata_props}
    assert beside["preprocess"] == inside["preprocess"] == exported["preprocess"]
    assert exported["preprocess"]["channels"] == "RGB"
    assert beside["classes"] == inside["classes"] == [str(digit) for digit in range(10)]


def test_an_interrupted_search_loses_no_finished_trial(home: Path, tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "cli.py"), "search", *SMALL, "--study", STUDY, "--budget", "500"]
    environment = os.environ | {"REBIRTH_HOME": str(tmp_path)}
    running = subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline and running.poll() is None:
        time.sleep(0.5)
        if STUDY in studies_of(tmp_path):
            finished = opened(tmp_path).get_trials(states=(TrialState.COMPLETE,))
            if len(finished) >= 3:
                break
    running.send_signal(signal.SIGINT)
    _, errors = running.communicate(timeout=60)
    assert running.returncode == 1, errors
    assert "Traceback" not in errors
    assert "interrupted" in errors
    states = [t.state for t in opened(tmp_path).trials]
    assert states.count(TrialState.COMPLETE) >= 3
    assert TrialState.RUNNING not in states


def test_a_failure_that_is_not_the_users_has_no_sentence_to_hide_behind(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REBIRTH_HOME", str(home))
    monkeypatch.setattr("latency_models.target.names", lambda _: 1 / 0)
    monkeypatch.setattr(sys, "argv", ["cli.py", "targets"])
    with pytest.raises(ZeroDivisionError):
        cli.main()


def test_help_has_an_example_for_every_command(home: Path) -> None:
    listed = run("--help", home=home)
    assert listed.returncode == 0
    for name in cli.COMMANDS:
        assert name in listed.stdout
        shown = CliRunner().invoke(cli.cli, [name, "--help"])
        assert shown.exit_code == 0
        assert re.search(rf"Example: \S+ cli.py {name}", " ".join(shown.output.split()))
