"""Time whole models side by side: in turn, round after round, with one thread and with all."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from functools import partial
from typing import Any, Callable, Sequence

from .machine import machine
from .rounds import Reference, summary
from .timed import Timed

PEAK = "--peak"
_WARM_UPS = 3
ROUNDS = 15


def bench(
    folder: str, kind: type[Timed], manifest: dict, path: str, progress: Callable[[int, int], None]
) -> None:
    """Write the results: for each number of threads the samples of every model, and its peak memory."""
    models, rounds = manifest["models"], manifest["rounds"]
    total = len(manifest["threads"]) * rounds + len(models)
    lines: list[dict[str, Any]] = [{"machine": machine(manifest["runtime"], kind.version())}]
    done = 0
    for threads in manifest["threads"]:
        ready = [kind(folder, model, threads or os.cpu_count() or 1) for model in models]
        for _ in range(_WARM_UPS):
            for model in ready:
                model.run()
        runs = [model.run for model in ready]
        samples = in_turn(runs, rounds, partial(_told, progress, done, total))
        done += rounds
        named = {model["id"]: times for model, times in zip(models, samples)}
        lines.append({"threads": threads or os.cpu_count(), "samples_us": named})
    for model in models:
        lines.append({"peak": model["id"], "bytes": _peak_elsewhere(folder, model["id"])})
        done += 1
        progress(done, total)
    with open(path, "w") as out:
        out.writelines(json.dumps(line) + "\n" for line in lines)


def in_one_piece(
    folder: str,
    kind: type[Timed] | None,
    entry: dict,
    threads: int,
    reference: Reference,
    progress: Callable[[float], None],
) -> list[dict]:
    """The result of a kit's network, in one line: its time, or the reason why it has none."""
    drift: list[float] = []

    def told(done: int) -> None:
        drift.append(reference.drift())
        progress(done / ROUNDS)

    try:
        if kind is None or "failed" in entry:
            raise RuntimeError(entry.get("failed") or "its runtime takes none")
        model = kind(folder, entry, threads)
        [samples] = in_turn([model.run], ROUNDS, told)
        result = summary([us / factor for us, factor in zip(samples, drift)])
    except Exception as error:
        result = {"failed": str(error).splitlines()[0][:300]}
    return [{"id": entry["id"], "kernel": entry["kernel"], **result}]


def _told(progress: Callable[[int, int], None], before: int, total: int, done: int) -> None:
    progress(before + done, total)


def in_turn(
    runs: Sequence[Callable[[], object]], rounds: int, told: Callable[[int], object] = lambda done: None
) -> list[list[float]]:
    """Microseconds of some calls, timed in turn so that drift hits all alike; `told` hears of every round.

    In its turn each is called twice and timed once: it then meets its own traces in the caches, not those
    of the others.
    """
    samples: list[list[float]] = [[] for _ in runs]
    for done in range(rounds):
        for run, times in zip(runs, samples):
            run()
            start = time.perf_counter()
            run()
            times.append((time.perf_counter() - start) * 1e6)
        told(done + 1)
    return samples


def _peak_elsewhere(folder: str, model: str) -> int:
    """Bytes that a model takes in a process of its own; 0 if that cannot be found out."""
    command = [sys.executable, sys.argv[0], folder, PEAK, model]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False)
    return int(done.stdout or 0) if done.returncode == 0 else 0


def peak_bytes(folder: str, kind: type[Timed], model: dict) -> int:
    """How much this process's peak memory grows when a model is loaded and run twice."""
    import numpy

    kind.version()  # imports the library, which is not the model's
    numpy.random.default_rng(0)
    before = _most_bytes()
    ready = kind(folder, model, 1)
    ready.run()
    ready.run()
    return _most_bytes() - before


def _most_bytes() -> int:
    """Peak memory of this program; getrusage would count that of the process that started it."""
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmHWM:")) * 1024
