"""The ``profile`` command."""

import tempfile
from pathlib import Path
from typing import Any

import click

from latency_models import runtime
from latency_models.remote import Board
from latency_models.remote.adb import Adb
from latency_models.remote.ssh import Ssh
from merges.network import Network
from search.called import example
from search.commands import options, terminal
from search.deploy import boards
from search.results import network_tables
from search.scoring.latency import Device, Latencies
from training.errors import BadInputError
from training.progress import Session, Watch
from training.workbench import structure

_EXAMPLES = example(
    "profile --model alexnet --target arm-a57 --by-layer", "profile --target my-board --ssh pi@raspberrypi"
)


@click.command("profile", epilog=_EXAMPLES)
@click.option("--by-layer", is_flag=True, help="Measure only what the untouched network needs.")
@click.option(
    "--ssh", metavar="USER@HOST", help="Measure on a board behind SSH (its host key must be known)."
)
@click.option("--adb", metavar="SERIAL", help="Measure on an Android device with python3.")
@options.folder("--kit", text="Write a folder to copy to a board by hand, then stop.")
@options.file("--import", "answer", text="Read a kit's results.jsonl, or a table in .csv or .parquet.")
@options.file("--export", "table", text="Write the target's table to a .csv or .parquet file.")
@click.option(
    "--runtime",
    help=f"Runtime of a new board: {' or '.join(runtime.measurable())}.  [default: {runtime.DEFAULT}]",
)
@options.number("--threads", 1, "Threads of a new board.  [default: 1]")
@options.structure
def command(by_layer: bool, target: str, home: Path, as_json: bool, **given: Any) -> None:
    """Show a network's latency layer by layer; measure targets.

    Without --by-layer, a target on this machine (host) is measured now: every kernel that any plan of
    the network may need. A board is measured over --ssh or --adb, or with a kit: write it with --kit, run
    'python3 board.pyz .' in it on the board, and read its results.jsonl with --import. A new --target
    name makes a new target.
    """
    ways = [way for way in ("ssh", "adb", "kit", "answer") if given[way]]
    if len(ways) > 1:
        raise BadInputError("give one of --ssh, --adb, --kit and --import")
    new = boards.NewTarget(given["runtime"], given["threads"], given["ssh"] or given["adb"] or "")
    device = boards.find_or_make(target, new, home) if ways else Device.named(target, home)
    if ways and not device.spec.grows:
        raise BadInputError(f"{target} is shipped with this program; give a new name to measure a board")
    if device.table.remark:
        terminal.note(f"warning: {device.table.remark}")
    count = boards.take(device, given["answer"], home, terminal.note) if given["answer"] else 0
    network = structure(given["model"], given["input_size"], given["classes"])
    with terminal.bars() as watch:
        if given["kit"]:
            count = boards.write_kit(network, device, given["kit"], home, watch)
            terminal.note(f"{count} kernels in {given['kit']}: run 'python3 board.pyz .' there on the board")
            return
        count += _measured(given, network, device, home, by_layer, watch)
    if count:
        terminal.note(f"{count} kernels measured, kept in {device.path}")
    device = Device.named(target, home)
    latencies = Latencies(network, device)
    if given["table"]:
        device.table.save(given["table"])
    rows = latencies.by_layer()
    answer = network_tables.layers_answer(given["model"], target, rows)
    score = latencies.score({})
    options.say(answer, as_json, network_tables.layers_table(answer, device.describe(score.total)))


def _measured(
    given: dict[str, Any], network: Network, device: Device, home: Path, by_layer: bool, watch: Watch
) -> int:
    if given["ssh"] or given["adb"]:
        place: Board = Ssh(given["ssh"]) if given["ssh"] else Adb(given["adb"])
        with tempfile.TemporaryDirectory(prefix="kit-") as folder:
            return boards.measure_there(
                network, device, place, Path(folder), Session(home, watch, terminal.note)
            )
    if given["answer"] or by_layer or not device.spec.measurable:
        return 0
    return Latencies(network, device).learn_all(watch, again=True)
