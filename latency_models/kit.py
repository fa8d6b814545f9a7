"""Kits: folders that a board measures without this program, and the answers that come back.

A kit holds one-kernel models, a manifest and ``board.pyz`` (see ``board/``); the answer is its
``results.jsonl``, which names every kernel and the machine's state in full.
"""

import hashlib
import inspect
import io
import json
import tarfile
import zipapp
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from latency_models import board
from latency_models.board.timed import Timed
from latency_models.kernel import Kernel
from latency_models.runtime import Job, Runtime
from latency_models.table import Measurement
from latency_models.target import Target
from latency_models.text import plain

REFERENCE = Kernel("conv", (64, 28, 28), (64, 28, 28), (3, 3), (1, 1), (1, 1))
PROGRAM = "board.pyz"
_VERSION = 1
AT_ONCE = 40_000_000


class NotMeasurableError(RuntimeError):
    """A runtime cannot be run for a target, or does not know an operation."""


class AnswerError(ValueError):
    """A file is no answer of a kit; the message names it."""


@dataclass(frozen=True)
class Answer:
    """What a board measured.

    Attributes
    ----------
    target, runtime : as the kit's manifest named them
    rows : one a kernel
    failed : kernels that the board could not run, by name, with the reason
    about : what the kit was written for, as ``write`` was given it
    block : channels that the board's convolutions take at once; None where the runtime has no such blocks
    """

    target: str
    runtime: str
    rows: tuple[Measurement, ...]
    failed: dict[str, str]
    block: int | None = None
    about: dict[str, Any] = field(default_factory=dict)

    @property
    def noisy(self) -> int:
        """Kernels whose times were not steady."""
        return sum(row.noisy for row in self.rows)


def write(
    folder: Path,
    target: Target,
    runtime: Runtime,
    kernels: Iterable[Kernel],
    at_once: int = AT_ONCE,
    about: Mapping[str, Any] | None = None,
    network: Kernel | None = None,
) -> int:
    """Write a kit; how many kernels it holds. Answers that are in the folder stay (they are not repeated).

    `about` comes back with the answer: the network that the kernels are of. `network` is timed in one piece,
    after them; where it cannot be written, that is its answer.

    `at_once` is how many bytes of weights and maps take turns: as many as the kernels' network touches,
    so that the caches are as cold as in it.

    Raises
    ------
    NotMeasurableError
        The runtime is known from shipped tables only, cannot run an operation, or not in this precision.
    """
    if target.precision != "fp32":
        raise NotMeasurableError(f"{target.name} asks for {target.precision}; only fp32 can be measured")
    if runtime.timed is None:
        raise NotMeasurableError(
            f"{runtime.name} cannot be run by this program; its targets know shipped tables only"
        )
    folder.mkdir(parents=True, exist_ok=True)
    entries = [_entry(folder, runtime, runtime.job, kernel) for kernel in dict.fromkeys(kernels)]
    manifest = {
        "version": _VERSION,
        "target": target.name,
        "runtime": runtime.name,
        "threads": target.threads,
        "affinity": list(target.affinity),
        "probes": {channels: f"probe-{channels}" for channels in runtime.probes()},
        "at_once": at_once,
        "about": dict(about or {}),
        "reference": _entry(folder, runtime, runtime.job, REFERENCE),
        "kernels": entries,
        "network": _whole_entry(folder, runtime, network) if network else None,
    }
    for channels, content in runtime.probes().items():
        (folder / f"probe-{channels}").write_bytes(content)
    write_program(folder, runtime.timed, runtime.whole)
    (folder / board.MANIFEST).write_text(json.dumps(manifest, indent=1))
    return len(entries)


def write_program(folder: Path, timed: type[Timed] | None = None, whole: type[Timed] | None = None) -> None:
    """Write the program that a board runs: the package, the file that starts it, and the runtime's part.

    That is how it times a kernel, and a network in one piece.
    """
    package = Path(board.__file__).parent
    root = folder / "program"
    (root / "board").mkdir(parents=True, exist_ok=True)
    for source in package.glob("*.py"):
        place = root if source.name == "__main__.py" else root / "board"
        (place / source.name).write_text(source.read_text())
    head = "from __future__ import annotations\n\nfrom .timed import Timed\n\n\n"
    kinds = {"KIND": timed, "WHOLE": whole}
    parts = [inspect.getsource(kind) for kind in kinds.values() if kind]
    parts.append("".join(f"{name} = {kind.__name__ if kind else None}\n" for name, kind in kinds.items()))
    (root / "board" / "runtime.py").write_text(head + "\n\n".join(parts))
    zipapp.create_archive(root, folder / PROGRAM)


def write_to_count(folder: Path, runtime: Runtime, kernels: Iterable[Kernel], half: bool) -> dict[str, str]:
    """Write a kit whose kernels are counted under the emulator, in half precision where that is asked for.

    Returns the kernels that cannot be run alone and are left out, by name with the reason.

    Raises
    ------
    NotMeasurableError
        The runtime cannot be counted.
    """
    if runtime.counted is None:
        raise NotMeasurableError(f"{runtime.name} cannot be run under the emulator")
    folder.mkdir(parents=True, exist_ok=True)
    entries: list[dict[str, Any]] = []
    failed: dict[str, str] = {}
    for kernel in kernels:
        try:
            entries.append(_entry(folder, runtime, runtime.counted_job, kernel) | {"half": half})
        except NotMeasurableError as error:
            failed[kernel.key] = str(error.__cause__)  # which does not name the kernel again
    write_program(folder, runtime.counted)
    (folder / board.MANIFEST).write_text(json.dumps({"kernels": entries}))
    return failed


def _entry(folder: Path, runtime: Runtime, job_of: Callable[[Kernel], Job], kernel: Kernel) -> dict[str, Any]:
    try:
        job = job_of(kernel)
    except NotImplementedError as error:
        raise NotMeasurableError(f"{runtime.name}: {error} ({kernel.key})") from error
    entry = _named(kernel)
    files = {f"{entry['id']}{suffix}": content for suffix, content in job.files.items()}
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return entry | {"files": list(files), **job.details}


def _named(kernel: Kernel) -> dict[str, Any]:
    name = hashlib.sha256(kernel.key.encode()).hexdigest()[:16]
    return {"id": name, "kernel": kernel.to_row(), "bytes": kernel.touched_bytes}


def _whole_entry(folder: Path, runtime: Runtime, network: Kernel) -> dict[str, Any]:
    try:
        return _entry(folder, runtime, runtime.network_job, network)
    except Exception as error:  # of the exporter, or the runtime's own
        return _named(network) | {"failed": plain(str(error))}


def packed(folder: Path) -> bytes:
    """What a board needs of a kit, as one file."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for path in sorted(folder.iterdir()):
            if path.is_file() and path.name != board.RESULTS:
                archive.add(path, path.name)
    return packed.getvalue()


def load(path: Path) -> Answer:
    """The answer in a ``results.jsonl``.

    Raises
    ------
    AnswerError
        The file is no answer of a kit.
    """
    try:
        lines = board.read(str(path))
        return answer(lines)
    except (
        OSError,
        LookupError,
        ValueError,
        TypeError,
        AttributeError,
        RecursionError,
        OverflowError,
    ) as error:
        raise AnswerError(
            f"{path} is no answer of a kit ({type(error).__name__}: {error}); "
            f"expected the {board.RESULTS} that 'python3 {PROGRAM} .' wrote in the kit's folder"
        ) from error


def answer(lines: Sequence[dict[str, Any]]) -> Answer:
    """The answer in some lines; later lines take the place of earlier ones."""
    state: dict[str, Any] = {}
    rows: dict[Kernel, Measurement] = {}
    failed: dict[str, str] = {}
    for line in lines:
        if "machine" in line:
            state = line
            continue
        kernel = Kernel.from_row(line["kernel"])
        if "failed" in line:
            failed[kernel.key] = plain(str(line["failed"]))
            continue
        failed.pop(kernel.key, None)
        rows[kernel] = Measurement(
            kernel,
            float(line["median_us"]),
            float(line["spread_us"]),
            int(line["repeats"]),
            source_of(state),
            bool(line["noisy"]),
        )
    block, about = state["machine"].get("block"), state.get("about")
    about = about if isinstance(about, dict) else {}
    return Answer(state["target"], state["runtime"], tuple(rows.values()), failed, block, about)


def source_of(state: Mapping[str, Any]) -> str:
    """What was measured with, on which machine and in which state, in a line."""
    machine = state["machine"]
    heat = machine["celsius"] if isinstance(machine["celsius"], str) else f"{machine['celsius']:.0f} C"
    return plain(
        f"{machine['runtime']}, {state['threads']} thread(s), {machine['cpu']}, "
        f"governor {machine['governor']}, load {machine['load']:.1f}, {heat}, {machine['date']}"
    )
