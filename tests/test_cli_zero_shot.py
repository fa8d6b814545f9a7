"""Zero-shot: from trained weights to a faster ONNX file without any image."""

import json
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from tests.program import answer, run

MODEL = ("--model", "tests.networks:with_batch_norm", "--input-size", "64")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


def test_a_front_and_a_file_without_data(home: Path, tmp_path: Path) -> None:
    found = answer("search", "--zero-shot", *MODEL, "--study", "z", "--budget", 6, home=home)
    points = found["points"]
    assert found["metric"] == "kept"
    assert 1 < len(points) <= 6
    assert points[0]["accuracy"] == 100
    assert [p["latency_ms"] for p in points] == sorted((p["latency_ms"] for p in points), reverse=True)
    assert points[-1]["speedup"] > 1
    assert all(p["top1"] is None for p in points)

    more = answer("search", "--zero-shot", *MODEL, "--study", "z", "--budget", 10, home=home)
    kept = {p["plan_id"] for p in points}
    assert more["trials"] > found["trials"]
    assert kept <= {p["plan_id"] for p in more["points"]}, "a larger budget adds plans between the known"

    plan = answer("plan", "--study", "z", "--speedup", "1.01", "--out", tmp_path / "p.json", home=home)
    assert {site.split(":")[0] for site in plan["choices"]} <= {"low_rank", "compose", "shortcut", "parallel"}
    exported = answer(
        "export", "--plan", tmp_path / "p.json", "--trust", "--out", tmp_path / "m.onnx", home=home
    )
    assert exported["top1_agreement"] == 100
    session = onnxruntime.InferenceSession(str(tmp_path / "m.onnx"))
    assert session.run(None, {"image": np.zeros((1, 3, 64, 64), np.float32)})[0].shape == (1, 10)

    done = run("train", "--plan", tmp_path / "p.json", "--trust", "--out", tmp_path / "run", home=home)
    assert done.returncode == 2
    assert "give --data" in done.stderr


def test_weights_are_asked_for(home: Path) -> None:
    untrained = run("search", "--zero-shot", "--model", "resnet18", home=home)
    assert untrained.returncode == 2
    assert "give --weights" in untrained.stderr


def test_rebirth_layers_are_not_exported_unlearned(home: Path, tmp_path: Path) -> None:
    sites = answer("sites", *MODEL, home=home)["sites"]
    site = next(s for s in sites if s["rule"] == "streamline")
    exact = answer("plan", "--preset", "exact", *MODEL, "--out", tmp_path / "p.json", home=home)
    exact["choices"] = {site["id"]: site["options"][-1]["name"]}
    (tmp_path / "p.json").write_text(json.dumps(exact))
    done = run("export", "--plan", tmp_path / "p.json", "--trust", "--out", tmp_path / "m.onnx", home=home)
    assert done.returncode == 2
    assert site["id"] in done.stderr
    assert not (tmp_path / "m.onnx").exists()
