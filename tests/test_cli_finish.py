"""``search --finish``: what plans around the knee reach after a short training stands in the front."""

import json
from pathlib import Path

from tests.program import STUDY, answer, run, search


def test_plans_around_the_knee_are_trained_once_and_shown(tmp_path: Path) -> None:
    home, page = tmp_path / "home", tmp_path / "f.html"
    first = search(home, 6, "--finish", 2)
    assert first.returncode == 0, first.stderr
    assert "2 plans to train: 4 passes over 898 images each, about" in first.stderr
    assert (
        "top-1 % after 4 passes, test images" in first.stdout.replace("\n", " ") or "after 4" in first.stdout
    )
    front = answer("front", "--study", STUDY, "--html", page, home=home)
    trained = {point["trial"]: point["after"] for point in front["points"] if point["after"]}
    assert len(trained) == 2
    for after in trained.values():
        low, high = after["interval"]
        assert low <= after["value"] <= high
        assert after["images"] == 450
    others = [point for point in front["points"] if not point["after"]]
    assert all(0 <= point["drop_after"] <= 100 for point in others), "estimated from the two"
    assert "after 4 passes, test images" in page.read_text()
    chosen = answer("plan", "--study", STUDY, "--max-drop", 99, "--after-training", home=home)
    assert chosen["trial"] == front["points"][-1]["trial"], "the fastest of all"
    preset = run("plan", "--preset", "paper", "--max-drop", 0, "--after-training", home=home)
    assert preset.returncode == 2
    assert "--max-drop, --max-latency, --speedup, --after-training choose from a study" in preset.stderr
    knee = next(iter(trained.values()))
    result = json.loads((Path(knee["run"]) / "result.json").read_text())
    assert result["merged"]["top1"] == knee["value"]
    assert result["teacher"]["top1"] == knee["untouched"]
    done = run("export", "--run", knee["run"], "--out", tmp_path / "m.onnx", "--trust", home=home)
    assert done.returncode == 0, done.stderr

    again = search(home, 6, "--finish", 2)
    assert again.returncode == 0, again.stderr
    assert "to train:" not in again.stderr
    more = search(home, 6, "--finish", 3)
    assert "1 plan to train: 4 passes" in more.stderr, more.stderr


def test_what_trains_nothing_finishes_nothing(tmp_path: Path) -> None:
    done = run("search", "--model", "tests.networks:with_lrn", "--zero-shot", "--finish", 1, home=tmp_path)
    assert done.returncode == 2
    assert "--finish goes with training; --zero-shot trains nothing" in done.stderr
