"""Time a folder of one-kernel models on the machine where this runs.

Self-contained, so that it can be sent to a board together with the folder (see ``kit.py``): it needs
Python 3.8, numpy and the runtime that the folder is made for. Every kernel runs in turn,
round after round, among the others of a group that touches as much memory as its network: its weights
are then as cold as they are there. Results are appended to ``results.jsonl`` group by group; kernels that
are in it already are not measured again.
"""

from __future__ import annotations

import json
import os
from typing import Any, Callable, Iterator

from .machine import machine
from .rounds import Reference, Turns, take_turns
from .timed import Timed

RESULTS = "results.jsonl"
MANIFEST = "manifest.json"
_LARGEST_GROUP = 100
_MORE_THAN_CACHES = 64_000_000  # bytes


def _silent(done: int, total: int) -> None:
    pass


def run(
    folder: str,
    kind: type[Timed],
    progress: Callable[[int, int], None] = _silent,
    keep: Callable[[list[dict]], None] = lambda lines: None,
) -> list[dict]:
    """Measure what `folder` holds and has no result yet; every line of its results.

    `kind` times a kernel as the folder's runtime runs it. `keep` is called with the new lines of every group.

    Raises
    ------
    ImportError
        The runtime is not installed here.
    """
    with open(os.path.join(folder, MANIFEST)) as file:
        manifest = json.load(file)
    path = os.path.join(folder, RESULTS)
    lines = read(path)
    known = {line["id"] for line in lines if "id" in line}
    waiting = [entry for entry in manifest["kernels"] if entry["id"] not in known]
    total = len(manifest["kernels"])
    progress(len(known), total)
    if manifest["affinity"] and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, manifest["affinity"])
    done = len(known)
    timed = kind(folder, manifest["reference"], manifest["threads"])
    reference = Reference(timed)
    findings = kind.findings(folder, manifest["probes"]) if waiting else {}
    for group in _groups(waiting, manifest["at_once"]):
        state = {name: manifest[name] for name in ("target", "runtime", "threads", "affinity")}
        state["about"] = manifest.get("about", {})
        state["machine"] = {**machine(manifest["runtime"], kind.version()), **findings}
        new = [state, *_measure(folder, kind, manifest, group, reference)]
        with open(path, "a") as out:
            out.writelines(json.dumps(line) + "\n" for line in new)
        keep(new)
        lines += new
        done += len(group)
        progress(done, total)
    timed.samples_us()
    return lines


def _groups(entries: list[dict], at_once: int) -> Iterator[list[dict]]:
    """Kernels that take turns: together they touch `at_once` bytes."""
    group: list[dict] = []
    for entry in entries:
        group.append(entry)
        if sum(e["bytes"] for e in group) >= at_once or len(group) >= _LARGEST_GROUP:
            yield group
            group = []
    if group:
        yield group


def read(path: str) -> list[dict]:
    """Results so far; a line that was cut off when the machine went down is left out."""
    lines: list[dict] = []
    if os.path.exists(path):
        with open(path) as file:
            for text in file:
                try:
                    lines.append(json.loads(text))
                except ValueError:
                    continue
    return lines


def _measure(
    folder: str, kind: type[Timed], manifest: dict, group: list[dict], reference: Reference
) -> list[dict]:
    """One result a kernel; a kernel that cannot be run has the reason in the place of its time."""
    turns: dict[str, Turns] = {}
    results: dict[str, dict[str, Any]] = {}
    for entry in group:
        try:
            turns[entry["id"]] = Turns(kind(folder, entry, manifest["threads"]))
        except Exception as error:
            results[entry["id"]] = {"failed": str(error).splitlines()[0][:300]}
    missing = manifest["at_once"] - sum(entry["bytes"] for entry in group)
    drift = take_turns(list(turns.values()), reference, min(max(0, missing), _MORE_THAN_CACHES))
    for name, turn in turns.items():
        try:
            results[name] = turn.result(drift)
        except RuntimeError as error:
            results[name] = {"failed": str(error)}
    return [{"id": e["id"], "kernel": e["kernel"], **results[e["id"]]} for e in group]
