"""Looking at a file never runs code that it names; training and exporting do only if the user says so."""

import json
import sys
from pathlib import Path

import pytest

from tests.program import answer, run

CODE = """from pathlib import Path

Path("ran").touch()


def build():
    raise AssertionError("it was called")
"""


@pytest.fixture
def plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A plan of somebody else that names code in the current folder."""
    found = answer(
        "plan", "--preset", "exact", "--model", "tests.networks:with_lrn", "--input-size", "24", home=tmp_path
    )
    evil = found | {"network": "evil:build", "setup": {"model": "evil:build"}}
    (tmp_path / "plan.json").write_text(json.dumps(evil))
    (tmp_path / "data.json").write_text(json.dumps(found | {"setup": {"data": "evil:build"}}))
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "plan.json").write_text(json.dumps(evil))
    (tmp_path / "run" / "merged.safetensors").touch()
    (tmp_path / "evil.py").write_text(CODE)
    monkeypatch.delitem(sys.modules, "evil", raising=False)
    return tmp_path


@pytest.mark.parametrize(
    "command",
    [
        "plan show {0}/plan.json --svg {0}/p.svg",
        "plan merge {0}/plan.json {0}/plan.json --out {0}/p.json",
        "train --plan {0}/plan.json --out {0}/out",
        "train --plan {0}/plan.json --data digits --out {0}/out",
        "train --plan {0}/data.json --out {0}/out",
        "train --plan {0}/data.json --model tests.networks:with_lrn --out {0}/out",
        "export --plan {0}/plan.json --out {0}/m.onnx",
        "export --run {0}/run --out {0}/m.onnx",
        "export --run {0}/run --data digits --out {0}/m.onnx",
    ],
)
def test_code_that_a_file_names_is_not_run(command: str, plan: Path) -> None:
    done = run(*command.format(plan).split(), home=plan, folder=plan)
    assert done.returncode == 2, done.stderr
    assert "'evil:build', which would run code" in done.stderr
    assert "--trust" in done.stderr
    assert not (plan / "ran").exists()


@pytest.mark.parametrize("more", ["--trust", "--model evil:build"])
def test_it_is_where_the_user_says_so(more: str, plan: Path) -> None:
    done = run(
        "train", "--plan", plan / "plan.json", *more.split(), "--out", plan / "out", home=plan, folder=plan
    )
    assert (plan / "ran").exists()
    assert done.returncode == 2
    assert "it was called" in done.stderr
