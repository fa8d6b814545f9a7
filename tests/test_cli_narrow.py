"""A search on a narrowed network, to the exported file."""

import json
from pathlib import Path

import onnx
import pytest

from tests.program import STUDY, answer, run, search


@pytest.fixture(scope="module")
def narrowed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("narrowed")
    done = search(home, 4, "--narrow", 0.5)
    assert done.returncode == 0, done.stderr
    assert "training the narrowed network" in done.stderr
    return home


def test_the_front_counts_from_the_untouched_network(narrowed: Path, tmp_path: Path) -> None:
    front = answer("front", "--study", STUDY, home=narrowed)
    first = next(p for p in (*front["points"], *front.get("others", ())) if p["trial"] == 0)
    assert first["speedup"] > 1.1  # nothing is merged in it
    whole = answer("sites", "--model", "tests.networks:with_batch_norm", "--input-size", 24, home=narrowed)
    assert front["baseline"]["latency_ms"] == pytest.approx(whole["baseline_latency_ms"])
    few = answer(
        *("sites", "--model", "tests.networks:with_batch_norm", "--input-size", 24, "--narrow", 0.5),
        home=narrowed,
    )
    assert few["baseline_latency_ms"] == pytest.approx(whole["baseline_latency_ms"])
    again = search(tmp_path, 1)
    assert again.returncode == 0, again.stderr
    accuracy = answer("front", "--study", STUDY, home=tmp_path)["baseline"]["accuracy"]
    assert front["baseline"]["accuracy"] == pytest.approx(accuracy, abs=0.01)


def test_a_plan_of_a_narrowed_network_is_trained_and_exported(narrowed: Path, tmp_path: Path) -> None:
    plan, runs, file = tmp_path / "plan.json", tmp_path / "run", tmp_path / "model.onnx"
    found = answer("plan", "--study", STUDY, "--trial", 1, "--out", plan, home=narrowed)
    assert found["narrow"] == 0.5
    shown = run("plan", "show", plan, "--trust", home=narrowed)
    assert shown.returncode == 0, shown.stderr
    assert "0.5 of the channels" in shown.stdout
    trained = answer("train", "--plan", plan, "--trust", "--epochs", 1, "--out", runs, home=narrowed)
    assert trained["teacher"]["top1"] > 0
    whole, kept = tmp_path / "original.onnx", plan.read_text()
    over = run("export", "--run", runs, "--trust", "--out", plan.with_suffix(".onnx"), home=narrowed)
    assert over.returncode == 2
    assert "plan.json" in over.stderr
    assert plan.read_text() == kept, "what 'bench' shows is not written over a plan"
    answer("export", "--run", runs, "--trust", "--out", file, "--original", whole, home=narrowed)
    convs = [
        next(node for node in onnx.load(path).graph.node if node.op_type == "Conv") for path in (whole, file)
    ]
    maps = [
        next(w.dims[0] for w in onnx.load(path).graph.initializer if w.name == conv.input[1])
        for path, conv in zip((whole, file), convs, strict=True)
    ]
    assert maps[1] < maps[0]


def test_several_shares_make_a_study_each_and_one_front(tmp_path: Path) -> None:
    shares = ("--narrow", 1, "--narrow", 0.5, "--narrow", 0.51, "--narrow", 0.99)
    done = search(tmp_path, 2, *shares, "--finish", 1, "--json")
    assert done.returncode == 0, done.stderr
    assert "search 4 of 4, with all channels" in done.stderr
    assert "warning: no study with 0.99 of the channels" in done.stderr, "what others can is done"
    assert "warning: no study with 0.51 of the channels: with another --narrow" in done.stderr
    front = json.loads(done.stdout)
    narrowed = f"{STUDY}-narrow-0.5"
    assert front["studies"] == [STUDY, narrowed]
    assert front["trials"] == 4
    assert all((point["narrow"] == 0.5) == (point["study"] == narrowed) for point in front["points"])
    assert all(point["drop_after"] is not None for point in front["points"])
    assert "1 plan to train" in done.stderr, "one of the front of all, not one a study"
    assert len(list((tmp_path / "runs").iterdir())) == 1
    both = [word for study in front["studies"] for word in ("--study", study)]
    chosen = answer("plan", *both, "--speedup", 1.01, home=tmp_path)
    assert chosen["drop_after"] == pytest.approx(
        next(p["drop_after"] for p in front["points"] if p["plan_id"] == chosen["plan_id"])
    )


def test_what_cannot_be_narrowed_is_said(narrowed: Path, tmp_path: Path) -> None:
    for command, share, more in (
        ("search", 2, ()),
        ("search", 0, ()),
        ("search", 0.5, ("--zero-shot",)),
        ("sites", "nan", ()),
        ("profile", "nan", ()),
    ):
        refused = run(command, "--narrow", share, *more, home=tmp_path)
        assert refused.returncode == 2
        assert "narrow" in refused.stderr
    few = run("sites", "--model", "tests.networks:with_batch_norm", "--narrow", 0.99, home=tmp_path)
    assert few.returncode == 2
    assert "0.99" in few.stderr
    other = search(narrowed, 5)
    assert other.returncode == 2
    assert "narrow 0.5, not None" in other.stderr
    assert not list(tmp_path.iterdir())
