"""The whole way for images that are neither square nor coloured, with names that a shell would take apart."""

import json
import shlex
from pathlib import Path

import onnx
from torch import nn

from tests.program import answer, run

SHORT = ("--teacher-epochs", 1, "--bank-steps", 2, "--proxy-steps", 1, "--bank-images", 32)
SEARCH = ("search", "--model", "tests.test_cli_shapes:grey", "--input-size", "16x24", *SHORT, "--budget", 2)


def grey() -> nn.Module:
    return nn.Sequential(
        *(nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(8, 12, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(12, 10)),
    )


def told(text: str, command: str) -> list[str]:
    """The arguments of a command that was printed, as a shell takes it."""
    line = next(line for line in text.splitlines() if f"cli.py {command}" in line)
    return shlex.split(line)[2:]


def test_what_is_printed_can_be_typed(tmp_path: Path) -> None:
    name = "my net's; [bold]study :cat:"
    done = run(*SEARCH, "--study", name, home=tmp_path)
    assert done.returncode == 0, done.stderr
    found = "digits: 10 classes; 898 images to learn on, 449 to judge plans, 450 for the final word"
    assert found in done.stderr.splitlines()
    selects = told(done.stdout, "plan")
    assert selects[selects.index("--study") + 1] == name

    path, folder = tmp_path / "the plan's.json", tmp_path / "runs [a] :dog:"
    chosen = run("plan", "--study", name, "--trial", 1, "--out", path, home=tmp_path)
    trains = told(chosen.stdout, "train")
    assert trains[trains.index("--plan") + 1] == str(path)
    assert json.loads(path.read_text())["input_shape"] == [1, 16, 24]

    assert "--trust" in trains, "the network is code of the user's"
    few = ("--trust", "--relearn-steps", 2, "--epochs", 1, "--out", folder)
    trained = run("train", "--plan", path, *few, home=tmp_path)
    assert found in trained.stderr.splitlines()
    exports = told(trained.stdout, "export")
    assert exports[exports.index("--run") + 1] == str(folder)
    assert "--trust" in exports
    done = run("export", "--run", folder, "--trust", "--out", tmp_path / "m.onnx", home=tmp_path)
    assert done.returncode == 0, done.stderr
    shape = onnx.load(tmp_path / "m.onnx").graph.input[0].type.tensor_type.shape
    assert [side.dim_value for side in shape.dim][1:] == [1, 16, 24]


def test_a_study_is_named_by_height_and_width(tmp_path: Path) -> None:
    found = answer(*SEARCH, "--budget", 1, home=tmp_path)
    assert found["study"] == "tests.test_cli_shapes.grey-arm-a57-digits-16x24"
