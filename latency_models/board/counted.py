"""Run kernels under an emulator that counts instructions: see ``emulation/``.

Its clock is the number of times that it was read; the emulator keeps what had been executed at every reading.
"""

from __future__ import annotations

import json
import os
import time
from typing import Callable

from .timed import Timed

COUNT = "--count"
RUNS = "runs.jsonl"
_LOOKS, _TIMES = 2, 3


def count(folder: str, kind: type[Timed], manifest: dict, progress: Callable[[int, int], None]) -> None:
    """Run every kernel of a kit some times, and write at which readings: those of nothing, those of it."""
    readings = 0

    def read() -> float:
        nonlocal readings
        os.getppid()  # where the emulator keeps its counts
        readings += 1
        return float(readings)

    time.perf_counter = read
    kind.LOOKS = _LOOKS
    kernels = manifest["kernels"]
    with open(os.path.join(folder, RUNS), "w") as out:
        for done, entry in enumerate(kernels):
            line = {"id": entry["id"], "kernel": entry["kernel"], "looks": readings}
            try:
                timed = kind(folder, entry, 1)
                line["runs"] = readings
                for _ in range(_TIMES):
                    timed.run()
            except RuntimeError as error:
                line["failed"] = str(error)
            line["end"] = readings
            out.write(json.dumps(line) + "\n")
            out.flush()
            progress(done + 1, len(kernels))
