"""Targets, tables and boards, as a user handles them."""

import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from latency_models import board, kit
from tests.program import answer, run

FIRE = ["--model", "tests.networks:fire", "--input-size", "16"]


def test_targets_and_profile_answers(tmp_path: Path) -> None:
    known = answer("targets", home=tmp_path)
    assert {"arm-a57", "host"} <= {t["name"] for t in known}
    fields = {"name", "device", "runtime", "threads", "precision", "kind", "source"}
    assert all(set(t) >= fields for t in known)
    layers = answer("profile", "--by-layer", "--model", "alexnet", "--target", "arm-a57", home=tmp_path)
    assert {"network", "target", "total_ms", "layers"} <= set(layers)
    assert layers["total_ms"] == pytest.approx(sum(row["latency_ms"] for row in layers["layers"]))
    assert all({"name", "op", "latency_ms", "kind"} <= set(row) for row in layers["layers"])
    small = ["--model", "tests.networks:fire", "--input-size", "16", "--target", "host"]
    measured = answer("profile", *small, home=tmp_path)
    assert all(row["kind"] == "measured" and row["latency_ms"] > 0 for row in measured["layers"])
    assert set(measured["share_by_op"]) == {row["op"] for row in measured["layers"]}
    assert 0 <= measured["non_tensor_share"] < 1


@pytest.fixture(scope="module")
def home_with_kit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home that knows a board, not measured yet, and the kit for it."""
    home = tmp_path_factory.mktemp("home")
    written = run("profile", *FIRE, "--target", "my-board", "--kit", home / "kit", home=home)
    assert written.returncode == 0, written.stderr
    assert "on the board" in written.stderr
    return home


def test_a_board_that_was_not_measured_says_what_to_do(home_with_kit: Path) -> None:
    asked = run("profile", *FIRE, "--target", "my-board", "--by-layer", home=home_with_kit)
    assert asked.returncode == 2
    assert "profile --target my-board" in asked.stderr


def test_a_board_is_measured_by_hand(home_with_kit: Path, tmp_path: Path) -> None:
    shutil.copytree(home_with_kit, tmp_path, dirs_exist_ok=True)
    profile = ["profile", *FIRE, "--target", "my-board"]
    subprocess.run([sys.executable, "-I", kit.PROGRAM, "."], cwd=tmp_path / "kit", check=True)
    results = tmp_path / "kit" / board.RESULTS
    measured = answer(*profile, "--import", results, "--export", tmp_path / "t.parquet", home=tmp_path)
    assert all(row["kind"] == "measured" and row["latency_ms"] > 0 for row in measured["layers"])
    (whole,) = (row for row in kit.load(results).rows if row.kernel.op == "network")
    assert measured["total_ms"] == pytest.approx(whole.median_us / 1000), "as it is in one piece"
    assert len(pd.read_parquet(tmp_path / "t.parquet")) >= len(measured["layers"])
    assert "my-board" in {target["name"] for target in answer("targets", home=tmp_path)}

    other = run("profile", *FIRE, "--target", "other-board", "--import", results, home=tmp_path)
    assert other.returncode == 2
    assert "my-board" in other.stderr
    taken = answer(*profile[:-1], "copy", "--import", tmp_path / "t.parquet", home=tmp_path)
    assert taken["total_ms"] == pytest.approx(measured["total_ms"], rel=1e-3)
    found = answer("targets", "diff", "my-board", "copy", home=tmp_path)
    assert found["only_first"] == found["only_second"] == 0
    assert all(row["median_ratio"] == pytest.approx(1) for row in found["by_op"])


def test_targets_are_compared_and_a_broken_file_hides_no_other(tmp_path: Path) -> None:
    (tmp_path / "targets").mkdir()
    (tmp_path / "targets/mine.toml").write_text('device = "mine"\n')
    listed = run("targets", "--json", home=tmp_path)
    assert "mine.toml describes no target (runtime is missing)" in listed.stderr
    assert "raspberry-pi-4" in listed.stdout
    found = answer("targets", "diff", "raspberry-pi-3", "raspberry-pi-4", home=tmp_path)
    assert found["common"] > 3000
    nothing = run("targets", "diff", "host", "raspberry-pi-4", home=tmp_path)
    assert nothing.returncode == 2
    assert "no kernel is known of both host (0) and raspberry-pi-4" in nothing.stderr
