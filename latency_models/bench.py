"""Finished models side by side: on this machine, on a board, or by a kit."""

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from latency_models import board
from latency_models.board.rounds import quartiles
from latency_models.kit import PROGRAM, AnswerError, write_program
from latency_models.runtime import Runtime, discover
from latency_models.text import plain

ROUNDS = 31
_SEED, _RESAMPLES = 0, 2000


class ModelError(ValueError):
    """A file is no model that can be timed; the message names it."""


@dataclass(frozen=True)
class Timing:
    """One model with one number of threads.

    `ratio` is how many times as fast as the first model it is, `low` and `high` its 95 % confidence interval
    (rounds drawn again and again, as Efron 1979).
    """

    model: str
    threads: int
    median_ms: float
    spread_ms: float
    ratio: float
    low: float
    high: float
    peak_bytes: int


def runtime_of(models: Sequence[Path]) -> Runtime:
    """The runtime that all models are files for.

    Raises
    ------
    ModelError
        A file does not exist, is of an unknown kind, or of another runtime than the first.
    """
    by_suffix = {one.model_suffix: one for one in discover().values() if one.model_suffix}
    found = []
    for model in models:
        if model.suffix not in by_suffix:
            raise ModelError(
                f"{model} is no model; expected a file that ends in {' or '.join(sorted(by_suffix))}"
            )
        if not model.is_file():
            raise ModelError(f"{model} does not exist")
        found.append(by_suffix[model.suffix])
    if len(set(found)) > 1:
        raise ModelError(
            f"{models[0]} is for {found[0].name}, another model is not; compare models of one runtime, "
            "as 'export' writes them"
        )
    return found[0]


def described(model: Path) -> dict[str, Any]:
    """What ``export`` wrote about a model in the file beside it; empty where there is none."""
    try:
        found = json.loads(model.with_suffix(".json").read_text())
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def predicted_ms(model: Path) -> dict[str, float]:
    """What ``export`` predicted for a model in its runtime, in milliseconds by target; empty if unknown."""
    known = described(model).get("predicted_ms")
    found = known.get(runtime_of([model]).name) if isinstance(known, dict) and model.is_file() else None
    values = found.items() if isinstance(found, dict) else ()
    return {plain(name): float(ms) for name, ms in values if isinstance(ms, (int, float))}


def image_shape(model: Path) -> tuple[int, ...] | None:
    """Channels, height and width of the image that ``export`` predicted for; None if unknown."""
    try:
        channels, height, width = (int(side) for side in described(model)["input_shape"])
    except (KeyError, TypeError, ValueError):
        return None
    return channels, height, width


def write(
    folder: Path, models: Sequence[Path], input_shape: tuple[int, ...] | None = None, rounds: int = ROUNDS
) -> None:
    """Write a kit that times models with one thread and with all of a machine's.

    Parameters
    ----------
    input_shape : channels, height and width of the image, where neither the models nor their notes say

    Raises
    ------
    ModelError
        A file is no model.
    """
    runtime = runtime_of(models)
    folder.mkdir(parents=True, exist_ok=True)
    entries = []
    for number, model in enumerate(models):
        try:
            job = runtime.whole_job(model, input_shape or image_shape(model))
        except (NotImplementedError, OSError, ValueError) as error:
            raise ModelError(f"{model} cannot be timed: {error}") from error
        files = {f"model-{number}{suffix}": content for suffix, content in job.files.items()}
        for name, content in files.items():
            (folder / name).write_bytes(content)
        entries.append({"id": str(model), "files": list(files), **job.details})
    manifest = {"runtime": runtime.name, "threads": [1, 0], "rounds": rounds, "models": entries}
    write_program(folder, whole=runtime.whole)
    (folder / board.MANIFEST).write_text(json.dumps(manifest, indent=1))


def read(path: Path) -> tuple[str, list[Timing]]:
    """The machine, and what was measured there.

    Raises
    ------
    AnswerError
        The file is not what a kit of models wrote.
    """
    try:
        lines = board.read(str(path))
        machine = next(line["machine"] for line in lines if "machine" in line)
        peaks = {line["peak"]: int(line["bytes"]) for line in lines if "peak" in line}
        timings = [
            timing
            for line in lines
            if "samples_us" in line
            for timing in _timings(line["samples_us"], int(line["threads"]), peaks)
        ]
    except (OSError, LookupError, ValueError, TypeError, AttributeError, StopIteration) as error:
        raise AnswerError(
            f"{path} holds no timings of models ({type(error).__name__}: {error}); expected the "
            f"{board.RESULTS} that 'python3 {PROGRAM} .' wrote in the folder of 'bench --kit'"
        ) from error
    return plain(f"{machine['cpu']}, {machine['runtime']}, load {machine['load']:.1f}"), timings


def _timings(samples_us: dict[str, list[float]], threads: int, peaks: dict[str, int]) -> list[Timing]:
    first = np.array(next(iter(samples_us.values())), dtype=float)
    found = []
    for model, times in samples_us.items():
        us = np.array(times, dtype=float)
        if not (len(us) == len(first) > 1 and np.isfinite(us).all() and (us > 0).all()):
            raise ValueError(f"impossible times of {plain(model)}")
        low, high = interval(first, us)
        middle, spread = quartiles(list(us))
        ratio = float(np.median(first) / np.median(us))
        found.append(
            Timing(plain(model), threads, middle / 1000, spread / 1000, ratio, low, high, peaks.get(model, 0))
        )
    return found


def interval(first: np.ndarray, other: np.ndarray) -> tuple[float, float]:
    """95 % confidence interval of the ratio of medians, over rounds that were run in turn."""
    draws = np.random.default_rng(_SEED).integers(0, len(first), (_RESAMPLES, len(first)))
    ratios = np.median(first[draws], axis=1) / np.median(other[draws], axis=1)
    low, high = np.quantile(ratios, (0.025, 0.975))
    return float(low), float(high)


class Here:
    """This machine, as a board that a kit is run on."""

    name = "this machine"

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def send(self, folder: Path, place: str) -> None:
        """The kit is here already."""

    def run(self, place: str, line: Callable[[str], None]) -> tuple[int, str]:
        command = [sys.executable, PROGRAM, "."]
        with subprocess.Popen(
            command, cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as program:
            assert program.stdout is not None and program.stderr is not None
            for text in program.stdout:
                line(text)
            errors = program.stderr.read().strip().splitlines()
        return program.returncode, errors[-1] if errors else "no message"

    def fetch(self, place: str) -> bytes:
        return (self.folder / board.RESULTS).read_bytes()
