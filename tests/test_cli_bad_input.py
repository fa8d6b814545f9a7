"""Every kind of bad input: one sentence that names it, exit code 2, and nothing changed."""

import sys
from pathlib import Path

import numpy as np
import pytest

from search.commands import main as cli
from tests.program import ROOT, SMALL, STUDY, opened


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
        "no size": (["search", "--input-size", "2x4"], "'2x4'"),
        "no classifier": (
            [*small[:1], "--model", "tests.training.test_workbench:maps", "--metric", "top1"],
            "1x4x62x62",
        ),
        "empty folder": ([*small, "--data", f"imagefolder:{tmp_path / 'empty'}"], "empty"),
        "unknown data": ([*small, "--data", "photos"], "'photos'"),
        "budget of 0": (["search", "--budget", "0"], "budget"),
        "no database": ([*small, "--storage", f"sqlite:///{tmp_path}/no/such/folder.db"], "folder.db"),
        "broken database": ([*small, "--storage", f"sqlite:///{tmp_path / 'not.db'}"], "not.db"),
        "database in memory": ([*small, "--storage", "sqlite://"], "sqlite:///studies.db"),
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
        "control flow": (["sites", "--model", "tests.networks:dynamic"], "depends on values"),
        "no board": (["profile", "--target", "b", "--ssh", "a b"], "'a b'"),
        "shipped board": (["profile", "--target", "arm-a57", "--kit", tmp_path / "k"], "arm-a57"),
        "two ways": (["profile", "--target", "b", "--ssh", "a", "--adb", "b"], "--ssh"),
        "no answer": (["profile", "--target", "b", "--import", tmp_path / "text.txt"], "text.txt"),
        "no runtime": (["profile", "--target", "b", "--kit", tmp_path / "k", "--runtime", "x"], "'x'"),
        "no output": (["plan", "--preset", "paper", "--model", "bvlc_alexnet", "--out", ""], "--out"),
        "no such site": (["sites", "--model", "bvlc_googlenet", "--skip", "branch:9x"], "'branch:9x'"),
        "large seed": ([*small, "--seed", 2**70], "--seed is 1180591620717411303424"),
        "no training": (
            [*small, "--zero-shot", "--teacher-epochs", "3"],
            "--teacher-epochs goes with training",
        ),
        "question mark": (["front", "--study", "s", "--home", tmp_path / "a?b"], "a?b"),
        "unknown command": (["serch"], "serch"),
        "unknown option": (["search", "--budgte", "3"], "--budgte"),
    }


@pytest.mark.parametrize(
    "looking",
    [
        ("front", "--study", "x"),
        ("plan", "--study", "x", "--speedup", 2),
        ("targets", "diff", "host", "arm-a57"),
    ],
)
def test_to_look_makes_no_folder(
    looking: tuple[object, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["cli.py", *map(str, looking), "--home", str(tmp_path / "nowhere")])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
    assert not (tmp_path / "nowhere").exists()


CASES = (
    "target",
    "model",
    "no weights",
    "foreign weights",
    "no size",
    "no classifier",
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
    "large seed",
    "no training",
    "question mark",
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
