"""Time a folder of one-kernel models on the machine where this runs.

Self-contained, so that it can be sent to a board together with the folder (see ``kit.py``): it needs
Python 3.8, numpy and the runtime that the folder is made for. Every kernel runs in turn,
round after round, among the others of a group that touches as much memory as its network: its weights
are then as cold as they are there. Groups come up several times, some seconds apart: what slows the machine
for a moment then meets all alike. Results are appended to ``results.jsonl`` batch by batch; kernels that are
in it already are not measured again.
"""

from __future__ import annotations

import json
import os
from functools import partial
from typing import Any, Callable, Iterator

from .machine import machine
from .rounds import Reference, Turns, steady, summary, take_turns
from .timed import Timed
from .whole import in_one_piece

RESULTS = "results.jsonl"
MANIFEST = "manifest.json"
_LARGEST_GROUP = 100
_BATCH = 4  # groups
_FEWEST_PASSES, _MOST_PASSES = 3, 6
_MORE_THAN_CACHES = 64_000_000  # bytes


def _silent(done: int, total: int) -> None:
    pass


def run(
    folder: str,
    kind: type[Timed],
    whole: type[Timed] | None,
    progress: Callable[[int, int], None] = _silent,
    keep: Callable[[list[dict]], None] = lambda lines: None,
) -> list[dict]:
    """Measure what `folder` holds and has no result yet; every line of its results.

    `kind` times a kernel as the folder's runtime runs it, `whole` a network in one piece. `keep` is called
    with the new lines of every group.

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
    network = manifest.get("network")
    everything = manifest["kernels"] + ([network] if network else [])
    waiting = [entry for entry in everything if entry["id"] not in known]
    total = len(everything)
    progress(len(known), total)
    if manifest["affinity"] and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, manifest["affinity"])
    done = len(known)
    timed = kind(folder, manifest["reference"], manifest["threads"])
    reference = Reference(timed)
    findings = kind.findings(folder, manifest["probes"]) if waiting else {}
    for count, measure in _batches(folder, kind, whole, manifest, waiting, reference):
        state = {name: manifest[name] for name in ("target", "runtime", "threads", "affinity")}
        state["about"] = manifest.get("about", {})
        state["machine"] = {**machine(manifest["runtime"], kind.version()), **findings}
        new = [state, *measure(partial(_told, progress, done, total, count))]
        with open(path, "a") as out:
            out.writelines(json.dumps(line) + "\n" for line in new)
        keep(new)
        lines += new
        done += count
        progress(done, total)
    timed.samples_us()
    return lines


def _told(progress: Callable[[int, int], None], before: int, total: int, kernels: int, share: float) -> None:
    progress(before + int(share * kernels), total)


def _batches(
    folder: str,
    kind: type[Timed],
    whole: type[Timed] | None,
    manifest: dict,
    waiting: list[dict],
    reference: Reference,
) -> Iterator[tuple[int, Callable[[Callable[[float], None]], list[dict]]]]:
    """What is measured and kept together: how many entries, and what measures them; the network last."""
    network = manifest.get("network")
    groups = list(_groups([entry for entry in waiting if entry != network], manifest["at_once"]))
    for start in range(0, len(groups), _BATCH):
        batch = groups[start : start + _BATCH]
        yield sum(map(len, batch)), partial(_Batch(folder, kind, manifest, reference).measure, batch)
    if network in waiting:
        yield 1, partial(in_one_piece, folder, whole, network, manifest["threads"], reference)


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


class _Batch:
    """Some groups that are measured in passes, and kept together."""

    def __init__(self, folder: str, kind: type[Timed], manifest: dict, reference: Reference) -> None:
        self.folder, self.kind, self.manifest, self.reference = folder, kind, manifest, reference
        self.samples_us: dict[str, list[float]] = {}
        self.failed: dict[str, str] = {}

    def measure(self, groups: list[list[dict]], progress: Callable[[float], None]) -> list[dict]:
        """One result a kernel; a kernel that cannot be run has the reason in the place of its time."""
        for passed in range(_MOST_PASSES):
            for number, group in enumerate(groups):
                active = [entry for entry in group if not self._done(entry["id"], passed)]
                if active:
                    self._pass(active)
                progress((passed + (number + 1) / len(groups)) / _MOST_PASSES)
        return [
            {"id": entry["id"], "kernel": entry["kernel"], **self._result(entry["id"])}
            for group in groups
            for entry in group
        ]

    def _done(self, name: str, passed: int) -> bool:
        return name in self.failed or (passed >= _FEWEST_PASSES and steady(self.samples_us[name]))

    def _pass(self, group: list[dict]) -> None:
        """Some rounds of a group whose models are loaded for it alone."""
        turns: dict[str, Turns] = {}
        for entry in group:
            try:
                turns[entry["id"]] = Turns(self.kind(self.folder, entry, self.manifest["threads"]))
            except Exception as error:
                self.failed[entry["id"]] = str(error).splitlines()[0][:300]
        missing = self.manifest["at_once"] - sum(entry["bytes"] for entry in group)
        drift = take_turns(list(turns.values()), self.reference, min(max(0, missing), _MORE_THAN_CACHES))
        for name, turn in turns.items():
            try:
                self.samples_us.setdefault(name, []).extend(turn.samples_us(drift))
            except RuntimeError as error:
                self.failed[name] = str(error)

    def _result(self, name: str) -> dict[str, Any]:
        if name in self.failed:
            return {"failed": self.failed[name]}
        return summary(self.samples_us[name])
