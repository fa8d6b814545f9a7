"""The ``profile`` command."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from search.called import example, home_flag, next_steps
from search.commands import kinds, options, terminal
from training.errors import BadInputError
from training.files import replacing
from training.progress import Session, Watch

if TYPE_CHECKING:
    from merges.network import Network
    from search.scoring.device import Device

_EXAMPLES = example(
    "profile --model alexnet --target arm-a57 --by-layer", "profile --target my-board --ssh pi@raspberrypi"
)


def _runtimes() -> str:
    from latency_models import runtime

    return f"Runtime of a new board: {' or '.join(runtime.measurable())}.  [default: {runtime.DEFAULT}]"


@click.command("profile", epilog=_EXAMPLES)
@click.option(
    "--by-layer",
    is_flag=True,
    help="Measure only what the untouched network needs, not what its plans may need.",
)
@options.board("Measure")
@click.option(
    "--emulate",
    is_flag=True,
    help="Count the instructions of the kernels that an emulated target has no counts of, under QEMU.",
)
@click.option(
    "--setup",
    is_flag=True,
    help="With --emulate: make the emulator (QEMU's plugin, an arm64 system, runtimes), then stop.",
)
@options.folder("--kit", text="Write a folder to copy to a board by hand, then stop.")
@options.file("--import", "answer", text="Read a kit's results.jsonl, or a table in .csv or .parquet.")
@options.file("--export", "table", text="Write the target's table to a .csv or .parquet file, then stop.")
@options.late("--runtime", text=_runtimes)
@options.narrow(
    "Measure what the network needs with about this share of its channels, as 'search --narrow' does."
)
@options.number("--threads", 1, "Threads of a new board, as it is measured and predicted.  [default: 1]")
@options.structure
@click.pass_context
def command(
    context: click.Context, by_layer: bool, target: str, home: Path, as_json: bool, **given: Any
) -> None:
    """Show a network's latency layer by layer; measure targets.

    Without --by-layer, a target on this machine (host) is measured now: every kernel that any plan of
    the network may need. A board is measured over --ssh or --adb, or with a kit: write it with --kit, run
    'python3 board.pyz .' in it on the board, and read its results.jsonl with --import. A new --target
    name makes a new target.
    """
    ways = [way for way in ("ssh", "adb", "kit", "answer") if given[way]]
    if len(ways) + given["emulate"] > 1:
        raise BadInputError("give one of --ssh, --adb, --kit, --import and --emulate")
    kinds.require_apart({"--import": given["answer"], "--export": given["table"]})
    if given["setup"]:
        _set_up(given["emulate"])
        return
    device = _device(target, ways, given, home)
    if given["emulate"]:
        _check_emulated(device)
    count, about = 0, dict[str, Any]()
    if given["answer"]:
        from search.deploy import boards

        count, about = boards.take(device, given["answer"], home, terminal.note)
        terminal.note(f"{count} kernels kept in {device.path}")
    if given["table"]:
        with replacing(given["table"]) as temporary:
            device.table.save(temporary)
        written = len(device.table.rows)
        terminal.note(f"{written} kernels of {target} written to {given['table']}")
        if not given["answer"]:
            terminal.say({"target": target, "kernels": written, "table": str(given["table"])}, as_json)
            return
    if given["answer"] and context.get_parameter_source("model") is not ParameterSource.COMMANDLINE:
        if "model" not in about:  # a table is of no network
            terminal.say({"target": target, "kernels": count}, as_json)
            return
        given |= {name: about.get(name) for name in ("model", "within", "narrow")}
        given["input_size"] = tuple(about["input_shape"])
    _show(device, by_layer, home, as_json, given)


def _device(target: str, ways: list[str], given: dict[str, Any], home: Path) -> Device:
    from search.deploy import boards
    from search.scoring.device import Device

    new = boards.NewTarget(given["runtime"], given["threads"], given["ssh"] or given["adb"] or "")
    device = boards.find_or_make(target, new, home) if ways else Device.named(target, home)
    if ways and not device.spec.grows:
        raise BadInputError(f"{target} is shipped with this program; give a new name to measure a board")
    if device.table.remark:
        terminal.note(f"warning: {device.table.remark}")
    return device


def _check_emulated(device: Device) -> None:
    spec = device.spec
    if not spec.core:
        raise BadInputError(
            f"{spec.name} is {spec.kind}, not emulated; give --emulate a target such as raspberry-pi-4 "
            "('targets' lists the kinds)"
        )


def _set_up(emulate: bool) -> None:
    from search.deploy import emulated

    if not emulate:
        raise BadInputError("--setup is for --emulate; give both")
    emulated.set_up(terminal.note)


def _show(device: Device, by_layer: bool, home: Path, as_json: bool, given: dict[str, Any]) -> None:
    """Measure what is to be measured now, and show the network's layers."""
    from search.deploy import boards
    from search.results import network_tables
    from search.scoring.device import Device
    from search.scoring.latency import Latencies
    from training.workbench import structure

    parts = {name: given[name] for name in ("within", "narrow")}
    network = structure(given["model"], given["input_size"], given["classes"], **parts)
    target = device.spec.name
    with terminal.bars() as watch:
        if given["kit"]:
            count = boards.write_kit(network, device, given["kit"], home, watch, parts)
            terminal.note(f"{count} kernels in {given['kit']}: run 'python3 board.pyz .' there on the board")
            terminal.say({"kit": str(given["kit"]), "kernels": count}, as_json, _import(target, given["kit"]))
            return
        count = _measured(given, network, device, home, by_layer, watch)
        if given["emulate"]:
            _count(network, device, home, watch, by_layer)
    if count:
        terminal.note(f"{count} kernels measured, kept in {device.path}")
    device = Device.named(target, home)
    latencies = Latencies(network, device)
    answer = network_tables.layers_answer(given["model"], target, latencies.by_layer({}))
    score = latencies.score({})
    terminal.say(answer, as_json, network_tables.layers_table(answer, device.describe(score.total)))


def _count(network: Network, device: Device, home: Path, watch: Watch, by_layer: bool) -> None:
    from search.deploy import emulated

    count, failed = emulated.count_reachable(network, device, home, watch, by_layer)
    terminal.note(f"{count} kernels counted, kept in {home / 'counts'}; the others were counted before")
    if failed:
        name, reason = next(iter(failed.items()))
        terminal.note(f"{len(failed)} cannot be counted alone and are put between others: {name}, {reason}")


def _import(target: str, kit: Path) -> str:
    from shlex import quote

    command = f"profile --target {quote(target)} --import {quote(str(kit / 'results.jsonl'))}"
    return next_steps(command + home_flag(), title="Then, with the answer back in this folder:")


def _measured(
    given: dict[str, Any], network: Network, device: Device, home: Path, by_layer: bool, watch: Watch
) -> int:
    from latency_models.remote import reached

    place = reached(given["ssh"], given["adb"])
    if place:
        from search.deploy import boards

        with tempfile.TemporaryDirectory(prefix="kit-") as folder:
            session = Session(home, watch, terminal.note)
            return boards.measure_there(network, device, place, Path(folder), session)
    if given["answer"] or by_layer or not device.spec.measurable:
        return 0
    from search.scoring.latency import Latencies

    return Latencies(network, device).learn_all(watch, terminal.note, again=True)
