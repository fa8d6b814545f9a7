"""The program as a user runs it: the whole way on a small network, and every kind of bad input."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import onnx
import optuna
import pytest
from click.testing import CliRunner
from optuna.trial import TrialState

import cli
from search.database import storage_of
from tests.program import ROOT, answer, run

STUDY = "small"
SMALL = ["--model", "tests.networks:with_batch_norm", "--input-size", "24", "--teacher-epochs", "2"]


def search(home: Path, budget: int, *more: object) -> subprocess.CompletedProcess[str]:
    arguments = ["--study", STUDY, "--bank-steps", 10, "--proxy-steps", 3, "--bank-images", 64]
    return run("search", *SMALL, *arguments, "--budget", budget, *more, home=home)


def opened(home: Path) -> optuna.Study:
    return optuna.load_study(study_name=STUDY, storage=f"sqlite:///{home / 'studies.db'}")


def studies_of(home: Path) -> list[str]:
    """Names of the studies in a database that may be in the making."""
    database = home / "studies.db"
    return optuna.get_all_study_names(storage_of(f"sqlite:///{database}")) if database.exists() else []


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a study of six finished trials."""
    where = tmp_path_factory.mktemp("home")
    done = search(where, 6)
    assert done.returncode == 0, done.stderr
    assert "Pareto front of 6 finished trials" in done.stdout
    assert "cli.py plan --study small" in done.stdout
    return where


EXACT = ("compose:", "shortcut:", "parallel:")


def test_trials_carry_everything_that_was_decided_and_paid(home: Path) -> None:
    study = opened(home)
    finished = study.get_trials(states=(TrialState.COMPLETE,))
    assert len({t.user_attrs["plan_id"] for t in finished}) == len(finished) == 6
    for trial in finished:
        attributes = trial.user_attrs
        assert sum(attributes["latency_by_class_ms"].values()) == pytest.approx(trial.values[0])
        assert attributes["macs"] > 0
        assert attributes["parameters"] > 0
        assert attributes["seconds"] > 0
        assert 0 <= attributes["top1"] <= attributes["top5"] <= 100
        assert attributes["peak_activation_bytes"] > 0
        searched = {site for site in attributes["plan"] if not site.startswith(EXACT)}
        assert searched <= set(trial.params)
    assert {"versions", "setup", "arguments", "latency_source", "proxy", "fingerprint"} <= set(
        study.user_attrs
    )


def test_the_same_command_continues_the_study(home: Path) -> None:
    before = [t.number for t in opened(home).get_trials(states=(TrialState.COMPLETE,))]
    assert search(home, 6).returncode == 0
    assert [t.number for t in opened(home).get_trials(states=(TrialState.COMPLETE,))] == before
    assert search(home, 8).returncode == 0
    assert len(opened(home).get_trials(states=(TrialState.COMPLETE,))) == 8


def test_one_seed_gives_the_same_plans_and_accuracies(home: Path, tmp_path: Path) -> None:
    (tmp_path / "studies").mkdir()
    assert search(tmp_path, 6).returncode == 0
    trials = [opened(where).get_trials(states=(TrialState.COMPLETE,))[:6] for where in (home, tmp_path)]
    assert [t.user_attrs["plan_id"] for t in trials[0]] == [t.user_attrs["plan_id"] for t in trials[1]]
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

    train = ["train", "--plan", tmp_path / "plan.json", "--out", tmp_path / "run"]
    trained = answer(*train, "--epochs", 1, home=home)
    assert 0 <= trained["merged"]["top1"] <= 100
    assert trained["merged"]["images"] == 450
    again = answer(*train, "--epochs", 1, home=home)
    assert again == trained
    other = run(*train, "--epochs", 2, home=home)
    assert other.returncode == 2
    assert "another --out" in other.stderr

    exported = answer("export", "--run", tmp_path / "run", "--out", tmp_path / "m.onnx", home=home)
    assert {"onnx", "max_abs_error", "top1_agreement", "latency_ms", "speedup"} <= set(exported)
    assert set(exported["latency_ms"]) == {"original", "merged"}
    assert exported["top1_agreement"] == 100
    onnx.checker.check_model(str(tmp_path / "m.onnx"))


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


def bad(tmp_path: Path) -> dict[str, tuple[list[object], str]]:
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.txt").write_text("not a plan")
    (tmp_path / "not.db").write_text("not a database at all, only text " * 50)
    np.save(tmp_path / "weights.npy", np.zeros(3))
    small = ["search", *SMALL]
    return {
        "target": (["search", "--target", "arm-a99"], "'arm-a99'"),
        "model": (["search", "--model", "googlenot"], "'googlenot'"),
        "no weights": (["search", "--weights", "/nowhere.pt"], "/nowhere.pt"),
        "foreign weights": (
            ["search", "--model", "resnet18", "--weights", tmp_path / "weights.npy"],
            "weights.npy",
        ),
        "empty folder": ([*small, "--data", f"imagefolder:{tmp_path / 'empty'}"], "empty"),
        "unknown data": ([*small, "--data", "photos"], "'photos'"),
        "budget of 0": (["search", "--budget", "0"], "budget"),
        "no database": ([*small, "--storage", f"sqlite:///{tmp_path}/no/such/folder.db"], "folder.db"),
        "broken database": ([*small, "--storage", f"sqlite:///{tmp_path / 'not.db'}"], "not.db"),
        "database url": ([*small, "--storage", "what"], "what"),
        "another network": ([*small, "--study", STUDY, "--seed", "7"], "small"),
        "another target": ([*small, "--study", STUDY, "--target", "host"], "small"),
        "no study": (["front", "--study", "none"], "'none'"),
        "no trial": (["plan", "--study", STUDY, "--trial", "999"], "999"),
        "no wish": (["plan", "--study", STUDY], "--max-drop"),
        "impossible wish": (["plan", "--study", STUDY, "--speedup", "1000"], "1000"),
        "preset": (["plan", "--preset", "mine", "--model", "bvlc_googlenet"], "'mine'"),
        "no plan": (["train", "--plan", "/no/plan.json", "--out", tmp_path / "r"], "/no/plan.json"),
        "text as plan": (["train", "--plan", tmp_path / "text.txt", "--out", tmp_path / "r"], "text.txt"),
        "no run": (["export", "--run", tmp_path / "empty", "--out", tmp_path / "m.onnx"], "no finished run"),
        "unknown operation": (["sites", "--model", "mobilenet_v3_small", "--target", "arm-a57"], "arm-a57"),
        "control flow": (["sites", "--model", "tests.networks:dynamic"], "cannot be traced"),
        "no board": (["profile", "--target", "b", "--ssh", "a b"], "'a b'"),
        "shipped board": (["profile", "--target", "arm-a57", "--kit", tmp_path / "k"], "arm-a57"),
        "two ways": (["profile", "--target", "b", "--ssh", "a", "--adb", "b"], "--ssh"),
        "no answer": (["profile", "--target", "b", "--import", tmp_path / "text.txt"], "text.txt"),
        "no runtime": (["profile", "--target", "b", "--kit", tmp_path / "k", "--runtime", "x"], "'x'"),
        "no such site": (["sites", "--model", "bvlc_googlenet", "--skip", "branch:9x"], "'branch:9x'"),
        "unknown command": (["serch"], "serch"),
        "unknown option": (["search", "--budgte", "3"], "--budgte"),
    }


CASES = (
    "target",
    "model",
    "no weights",
    "foreign weights",
    "empty folder",
    "unknown data",
    "budget of 0",
    "no database",
    "broken database",
    "database url",
    "another network",
    "another target",
    "no study",
    "no trial",
    "no wish",
    "impossible wish",
    "preset",
    "no plan",
    "text as plan",
    "no run",
    "unknown operation",
    "control flow",
    "no board",
    "shipped board",
    "two ways",
    "no answer",
    "no runtime",
    "no such site",
    "unknown command",
    "unknown option",
)


@pytest.mark.parametrize("case", CASES)
def test_bad_input_gets_one_sentence_and_exit_code_2(
    case: str, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments, named = bad(tmp_path)[case]
    before = [(t.number, t.state, t.values) for t in opened(home).trials]
    monkeypatch.setenv("REBIRTH_HOME", str(home))
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(sys, "argv", ["cli.py", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    printed = capsys.readouterr()
    lines = [line for line in printed.err.splitlines() if line.startswith("error: ")]
    assert ended.value.code == 2
    assert len(lines) == 1
    assert named in lines[0]
    assert printed.out == ""
    assert [(t.number, t.state, t.values) for t in opened(home).trials] == before


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
        assert f"Example: python cli.py {name}" in " ".join(shown.output.split())
