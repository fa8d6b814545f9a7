"""Every kind of bad input: one sentence that names it, exit code 2, and nothing changed."""

import sys
from pathlib import Path

import numpy as np
import pytest

from search.commands import main as cli
from tests.program import ROOT, SMALL, STUDY, opened

SEARCH = ["search", *SMALL]
# TMP stands for a folder of the test's own.
BAD: dict[str, tuple[list[object], str]] = {
    "target": (["search", "--target", "arm-a99"], "'arm-a99'"),
    "model": (["search", "--model", "googlenot"], "'googlenot'"),
    "no weights": (["search", "--weights", "/nowhere.pt"], "/nowhere.pt"),
    "foreign weights": (
        ["search", "--model", "resnet18", "--weights", "TMP/weights.npy"],
        "weights.npy",
    ),
    "no size": (["search", "--input-size", "2x4"], "'2x4'"),
    "no classifier": (
        [*SEARCH[:1], "--model", "tests.training.test_workbench:maps", "--metric", "top1"],
        "1x4x62x62",
    ),
    "empty folder": ([*SEARCH, "--data", "imagefolder:TMP/empty"], "empty"),
    "unknown data": ([*SEARCH, "--data", "photos"], "'photos'"),
    "budget of 0": (["search", "--budget", "0"], "budget"),
    "no database": ([*SEARCH, "--storage", "sqlite:///TMP/no/such/folder.db"], "folder.db"),
    "broken database": ([*SEARCH, "--storage", "sqlite:///TMP/not.db"], "not.db"),
    "database in memory": ([*SEARCH, "--storage", "sqlite://"], "sqlite:///studies.db"),
    "database url": ([*SEARCH, "--storage", "what"], "what"),
    "another network": ([*SEARCH, "--study", STUDY, "--seed", "7"], "small"),
    "another target": ([*SEARCH, "--study", STUDY, "--target", "host"], "small"),
    "no study": (["front", "--study", "none"], "'none'"),
    "no trial": (["plan", "--study", STUDY, "--trial", "999"], "999"),
    "no wish": (["plan", "--study", STUDY], "--max-drop"),
    "impossible wish": (["plan", "--study", STUDY, "--speedup", "1000"], "1000"),
    "preset": (["plan", "--preset", "mine", "--model", "bvlc_googlenet"], "'mine'"),
    "no plan": (["train", "--plan", "/no/plan.json", "--out", "TMP/r"], "/no/plan.json"),
    "text as plan": (["train", "--plan", "TMP/text.txt", "--out", "TMP/r"], "text.txt"),
    "no run": (["export", "--run", "TMP/empty", "--out", "TMP/m.onnx"], "no finished run"),
    "unknown operation": (["sites", "--model", "mobilenet_v3_small", "--target", "arm-a57"], "arm-a57"),
    "control flow": (["sites", "--model", "tests.networks:dynamic"], "depends on values"),
    "no board": (["profile", "--target", "b", "--ssh", "a b"], "'a b'"),
    "shipped board": (["profile", "--target", "arm-a57", "--kit", "TMP/k"], "arm-a57"),
    "two ways": (["profile", "--target", "b", "--ssh", "a", "--adb", "b"], "--ssh"),
    "no answer": (["profile", "--target", "b", "--import", "TMP/text.txt"], "text.txt"),
    "no runtime": (["profile", "--target", "b", "--kit", "TMP/k", "--runtime", "x"], "'x'"),
    "no output": (["plan", "--preset", "paper", "--model", "bvlc_alexnet", "--out", ""], "--out"),
    "no such site": (["sites", "--model", "bvlc_googlenet", "--skip", "branch:9x"], "'branch:9x'"),
    "large seed": ([*SEARCH, "--seed", 2**70], "--seed is 1180591620717411303424"),
    "no training": (
        [*SEARCH, "--zero-shot", "--teacher-epochs", "3"],
        "--teacher-epochs goes with training",
    ),
    "question mark": (["front", "--study", "s", "--home", "TMP/a?b"], "a?b"),
    "unknown command": (["serch"], "serch"),
    "unknown option": (["search", "--budgte", "3"], "--budgte"),
    "one file": (
        ["front", "--study", STUDY, "--csv", "TMP/f", "--html", "TMP/empty/../f"],
        "--csv and --html",
    ),
    "one name": (["export", "--run", "r", "--out", "TMP/a.onnx", "--original", "TMP/a.ncnn"], "--original"),
    "picture over plan": (["plan", "show", "TMP/text.txt", "--svg", "TMP/text.txt"], "--svg"),
    "table over answer": (["profile", "--import", "TMP/text.txt", "--export", "TMP/text.txt"], "--export"),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.txt").write_text("not a plan")
    (tmp_path / "not.db").write_text("not a database at all, only text " * 50)
    np.save(tmp_path / "weights.npy", np.zeros(3))
    return tmp_path


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


@pytest.mark.parametrize("case", BAD)
def test_bad_input_gets_one_sentence_and_exit_code_2(
    case: str, home: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments, named = BAD[case]
    before = [(t.number, t.state, t.values) for t in opened(home).trials]
    monkeypatch.setenv("REBIRTH_HOME", str(home))
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(
        sys, "argv", ["cli.py", *(str(word).replace("TMP", str(folder)) for word in arguments)]
    )
    with pytest.raises(SystemExit) as ended:
        cli.main()
    printed = capsys.readouterr()
    lines = [line for line in printed.err.splitlines() if line.startswith("error: ")]
    assert ended.value.code == 2
    assert len(lines) == 1
    assert named in lines[0]
    assert printed.out == ""
    assert [(t.number, t.state, t.values) for t in opened(home).trials] == before
