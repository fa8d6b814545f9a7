"""The first hour: from nothing to a faster network with the commands that are printed."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.program import ROOT, answer, run

NAME = "it's [/bold] $(touch hacked) :smile: %d"
SMALL = ("--model", "tests.networks:with_batch_norm", "--input-size", "24", "--teacher-epochs", "1")
PROXY = ("--bank-images", "64", "--bank-steps", "4", "--proxy-steps", "1", "--relearn-steps", "1")


def started(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "160"}
    environment.pop("REBIRTH_HOME", None)
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def printed(text: str) -> list[list[str]]:
    """The commands in an output, as a shell splits them."""
    lines = [line.strip() for line in text.splitlines() if " cli.py " in line or "/cli.py " in line]
    return [shlex.split(line) for line in lines]


@pytest.mark.parametrize("target", ["arm-a57", "raspberry-pi-4"])
def test_every_printed_command_runs_as_printed(target: str, tmp_path: Path) -> None:
    where = ("--home", str(tmp_path / "my home"), "--study", NAME)
    program = [sys.executable, str(ROOT / "cli.py")]
    first = started(
        [*program, "search", *SMALL, *PROXY, "--target", target, "--budget", "6", *where], tmp_path
    )
    assert first.returncode == 0, first.stderr
    assert "before training" in first.stdout
    assert "smile:" in first.stdout, "names are no emoji"
    waiting, ran = printed(first.stdout), list[str]()
    assert len(waiting) == 3
    plan, train, export = waiting
    for command in (plan, [*train, "--relearn-steps", "2"], export):
        done = started(command, tmp_path)
        assert done.returncode == 0, (command, done.stderr)
        ran.append(done.stdout)
    (bench,) = printed(ran[-1])
    done = started(bench, tmp_path)
    assert done.returncode == 0, done.stderr
    assert "times as fast" in done.stdout
    assert "host" in done.stdout, "predicted beside measured"
    assert not (tmp_path / "hacked").exists()
    suffixes = {path.suffix for path in tmp_path.glob("model.*")}
    assert suffixes == ({".onnx", ".json"} if target == "arm-a57" else {".onnx", ".json", ".param", ".bin"})
    table = re.sub(r"\s+", " ", ran[-1])
    assert f"this machine is not {target}" in table
    assert "predicted (kernels measured)" in table


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        (["serach"], "did you mean search?"),
        (["search", "--bugdet", "3"], "--budget"),
        (["search", "--target", "raspbery-pi-4"], "did you mean raspberry-pi-4?"),
        (["search", "--max-latency", "40"], "expected milliseconds as 40ms"),
        (["plan", "--study", "x", "--max-latency", "40"], "no study 'x'"),
    ],
)
def test_what_is_misspelt_is_found_before_anything_is_read(
    given: list[str], meant: str, tmp_path: Path
) -> None:
    done = run(*given, home=tmp_path)
    assert done.returncode == 2
    assert meant in done.stderr


def test_alone_it_shows_help_and_tells_its_version(tmp_path: Path) -> None:
    alone = run(home=tmp_path)
    assert alone.returncode == 0
    assert "search" in alone.stdout
    assert re.search(r"rebirth \d+\.\d+", run("--version", home=tmp_path).stdout)


def test_help_needs_neither_torch_nor_a_runtime() -> None:
    program = (
        "import sys, click\nfrom search.commands import main\n"
        "for name in main.COMMANDS:\n"
        "    with click.Context(main.cli) as context:\n"
        "        command = main.cli.get_command(context, name)\n"
        "        command.get_help(click.Context(command, parent=context))\n"
        "sys.exit(str({'torch', 'onnxruntime', 'ncnn', 'optuna', 'sklearn'} & set(sys.modules) or ''))"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert done.stderr.strip() == ""


def test_a_table_is_exported_and_a_kit_imported_without_naming_the_network(tmp_path: Path) -> None:
    small = ("--model", "tests.networks:fire", "--input-size", "16")
    assert run("profile", *small, "--target", "b", "--kit", tmp_path / "kit", home=tmp_path).returncode == 0
    subprocess.run([sys.executable, "-I", "board.pyz", "."], cwd=tmp_path / "kit", check=True)
    shown = answer("profile", "--target", "b", "--import", tmp_path / "kit" / "results.jsonl", home=tmp_path)
    assert shown["network"] == "tests.networks:fire"
    exported = run("profile", "--target", "b", "--export", tmp_path / "b.csv", home=tmp_path)
    assert exported.returncode == 0, exported.stderr
    assert (tmp_path / "b.csv").exists()
    taken = run("profile", "--target", "c", "--import", tmp_path / "b.csv", home=tmp_path)
    assert taken.returncode == 0, taken.stderr
