"""Measured tables: of this machine, of boards, from kits and files."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from latency_models import kit, target
from latency_models.kernel import Kernel
from latency_models.remote import Board, measure_on
from latency_models.runtime import discover
from latency_models.runtimes.onnxruntime import BLOCKS
from latency_models.table import LatencyTable
from merges.network import Network
from search.latency import Device, Latencies
from search.setup import Watch
from training.errors import BadInputError
from training.files import replacing

Note = Callable[[str], None]


@dataclass(frozen=True)
class NewTarget:
    """What a board's target says of it, where it is not known yet."""

    runtime: str = "onnxruntime"
    threads: int = 1
    device: str = ""


def find_or_add(name: str, new: NewTarget, home: Path) -> Device:
    """A target by its name; a board's own target is written under `home` when it is first used.

    Raises
    ------
    BadInputError
        The name cannot be a target's, or the runtime is unknown.
    """
    if name not in target.names(home):
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
            raise BadInputError(f"{name!r} is no name for a target; expected letters, digits, '.', '_', '-'")
        if new.runtime not in discover():
            raise BadInputError(
                f"unknown runtime {new.runtime!r}; expected one of {', '.join(sorted(discover()))}"
            )
        spec = target.Target(
            name=name,
            device=new.device or name,
            runtime=new.runtime,
            threads=new.threads,
            precision="fp32",
            kind="measured",
            source="timed on the board, one kernel at a time",
            remote=True,
        )
        _save(spec, home)
    return Device.named(name, home)


def _save(spec: target.Target, home: Path) -> None:
    kept = {name: value for name, value in vars(spec).items() if name != "name"}
    fields = {name: value for name, value in kept.items() if value not in (None, (), "")}
    text = "".join(f"{name} = {json.dumps(value)}\n" for name, value in fields.items())
    with replacing(home / "targets" / f"{spec.name}.toml") as temporary:
        temporary.write_text(text)


def write_kit(network: Network, device: Device, folder: Path, watch: Watch) -> int:
    """Write a kit with every kernel that a plan of the network can reach; how many it holds."""
    kernels: dict[Kernel, None] = {}
    blocks = (0, *BLOCKS) if device.spec.block is None else (device.spec.block,)
    for block in blocks if device.spec.runtime == "onnxruntime" else blocks[:1]:
        there = device.seen_as(replace(device.spec, block=block))
        kernels |= dict.fromkeys(Latencies(network, there).reachable(watch))
    waiting = [kernel for kernel in kernels if device.table.get(kernel) is None]
    if not waiting:
        return 0
    return kit.write(folder, device.spec, device.runtime, waiting)


def take(device: Device, path: Path, home: Path, note: Note) -> int:
    """Take the answer of a kit, or a table as CSV or Parquet, into a target's table; how many kernels.

    Raises
    ------
    BadInputError
        The file is absent, or the answer is of another target.
    AnswerError, TableError
        The file is neither.
    """
    if not path.exists():
        raise BadInputError(
            f"{path} is no file; expected a kit's results.jsonl, or a table as .csv or .parquet"
        )
    if path.suffix in (".csv", ".parquet"):
        rows = tuple(LatencyTable.load(path).rows.values())
        device.keep(rows)
        return len(rows)
    answer = kit.load(path)
    if (answer.target, answer.runtime) != (device.spec.name, device.spec.runtime):
        raise BadInputError(
            f"{path} is the answer of {answer.runtime} on {answer.target}, "
            f"not of {device.spec.runtime} on {device.spec.name}"
        )
    device.keep(answer.rows)
    if device.spec.remote and answer.block is not None:
        _save(replace(device.spec, block=answer.block), home)
    if answer.noisy:
        note(f"{answer.noisy} of {len(answer.rows)} kernels were noisy: is the board idle and cool?")
    failed = {name: why for name, why in answer.failed.items() if not name.startswith("reorder")}
    for name, reason in list(failed.items())[:3]:
        note(f"not measured: {name}: {reason}")
    return len(answer.rows)


def measure_there(
    network: Network, device: Device, where: Board, folder: Path, home: Path, watch: Watch, note: Note
) -> int:
    """Send a kit to a board, wait for its answer and take it; how many kernels were measured."""
    count = write_kit(network, device, folder, watch)
    if count:
        measure_on(where, folder, watch(f"measuring on {where.name}"))
        take(device, folder / "results.jsonl", home, note)
    return count
