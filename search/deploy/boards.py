"""Measured tables of boards, from kits and files."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from latency_models import board, kit, target
from latency_models.kernel import Kernel
from latency_models.remote import Board, measure_on
from latency_models.runtime import DEFAULT, named
from latency_models.table import LatencyTable
from merges.network import Network
from search.scoring.device import Device
from search.scoring.latency import Latencies
from training.errors import BadInputError
from training.files import replacing
from training.progress import Note, Session, Watch


@dataclass(frozen=True)
class NewTarget:
    """Settings of a board's new target; None means as already known, or the default."""

    runtime: str | None = None
    threads: int | None = None
    device: str = ""


def find_or_make(name: str, new: NewTarget, home: Path) -> Device:
    """A target by name, or a new one for a board; it is saved once it is used.

    Raises
    ------
    BadInputError, TargetError
        The name is not valid, the runtime is unknown, or a known target differs.
    """
    if name in target.names(home):
        device = Device.named(name, home)
        for what in ("runtime", "threads"):
            known, asked = getattr(device.spec, what), getattr(new, what)
            if asked not in (None, known):
                raise BadInputError(f"target {name} has {what} {known!r}, not {asked!r}; choose another name")
        return device
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        raise BadInputError(f"{name!r} is not a valid target name; expected letters, digits, '.', '_', '-'")
    spec = target.Target(
        name=name,
        device=new.device or name,
        runtime=named(new.runtime or DEFAULT).name,
        threads=new.threads or 1,
        precision="fp32",
        kind="measured",
        source="timed on the board, one kernel at a time",
        remote=True,
    )
    return Device(spec, home)


def write_kit(
    network: Network,
    device: Device,
    folder: Path,
    home: Path,
    watch: Watch,
    parts: Mapping[str, Any] | None = None,
) -> int:
    """Write a kit with every kernel that a plan of the network may need, and the network in one piece.

    Returns how many of both the target's table lacks. `parts` say what the network is of its model: the part
    `within` it, the share of channels that is left.
    """
    kernels: dict[Kernel, None] = {}
    for there in map(device.seen_as, device.runtime.may_be(device.spec)):
        kernels |= dict.fromkeys(Latencies(network, there).reachable(watch))
    waiting = [kernel for kernel in kernels if device.table.get(kernel) is None]
    latencies = Latencies(network, device)
    whole = None if device.table.get(latencies.whole) else latencies.whole
    if not (waiting or whole):
        return 0
    about = {"model": network.name, "input_shape": network.input_shape} | dict(parts or {})
    progress = watch("writing the kit")
    progress(0, 1)
    count = kit.write(folder, device.spec, device.runtime, waiting, latencies.touched_bytes, about, whole)
    progress(1, 1)
    _keep_target(device.spec, home)
    return count + (whole is not None)


def _keep_target(spec: target.Target, home: Path) -> None:
    """Save a board's target under `home`; shipped targets stay as they are."""
    if not spec.remote:
        return
    kept = {name: value for name, value in vars(spec).items() if name != "name"}
    fields = {name: value for name, value in kept.items() if value not in (None, (), "")}
    text = "".join(f"{name} = {json.dumps(value)}\n" for name, value in fields.items())
    with replacing(home / "targets" / f"{spec.name}.toml") as temporary:
        temporary.write_text(text)


def take(device: Device, path: Path, home: Path, note: Note) -> tuple[int, dict[str, Any]]:
    """Import a kit's results, or a CSV or Parquet table, into a target's table.

    Returns
    -------
    the number of kernels, and what the kit says of its network (``model``, ``input_shape``)

    Raises
    ------
    BadInputError
        The file does not exist, or holds results of another target.
    AnswerError, TableError
        The file is damaged, or of another kind.
    """
    if not path.exists():
        raise BadInputError(
            f"{path} does not exist; expected a kit's results.jsonl, or a table as .csv or .parquet"
        )
    if path.suffix in (".csv", ".parquet"):
        rows = tuple(LatencyTable.load(path).rows.values())
        device.keep(rows)
        _keep_target(device.spec, home)
        return len(rows), {}
    answer = kit.load(path)
    if (answer.target, answer.runtime) != (device.spec.name, device.spec.runtime):
        raise BadInputError(
            f"{path} holds results of {answer.runtime} on {answer.target}, "
            f"not of {device.spec.runtime} on {device.spec.name}"
        )
    device.keep(answer.rows)
    _keep_target(replace(device.spec, block=answer.block), home)
    if answer.noisy:
        note(f"{answer.noisy} of {len(answer.rows)} kernels were noisy: is the board idle and cool?")
    failed = {name: why for name, why in answer.failed.items() if not name.startswith("reorder")}
    for name, reason in list(failed.items())[:3]:
        note(f"not measured: {name}: {reason}")
    return len(answer.rows), answer.about


def measure_there(network: Network, device: Device, where: Board, folder: Path, session: Session) -> int:
    """Send a kit to a board, run it, and import its results; return the number of kernels."""
    count = write_kit(network, device, folder, session.home, session.watch)
    if count:
        measure_on(where, folder, session.watch(f"measuring on {where.name}"))
        take(device, folder / board.RESULTS, session.home, session.note)
    return count
