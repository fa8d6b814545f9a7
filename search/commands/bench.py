"""The ``bench`` command."""

import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from search.called import example
from search.commands import options, terminal
from training.errors import BadInputError
from training.sizes import Size

_EXAMPLES = example("bench original.onnx model.onnx", "bench original.param model.param --ssh pi@raspberrypi")


@click.command("bench", epilog=_EXAMPLES)
@click.argument("models", nargs=-1, type=click.Path(dir_okay=False, path_type=Path))
@options.board("Time")
@options.folder(
    "--kit", text="Write a folder to copy to a board by hand, then stop; --import shows its answer."
)
@options.file("--import", "answer", text="Show the results.jsonl that a kit wrote on the board.")
@options.number(
    "--rounds",
    2,
    "Times that every model is timed; more make the interval of the ratio narrower.",
    default=31,
)
@options.input_size
@options.as_json
def command(
    models: tuple[Path, ...],
    ssh: str | None,
    adb: str | None,
    kit: Path | None,
    answer: Path | None,
    rounds: int,
    input_size: Size | None,
    as_json: bool,
) -> None:
    """Time finished models side by side: .onnx files, or ncnn's .param files.

    They run in turn, with one thread and then with all; the first is what the others are compared with.
    Beside the times stand what 'export' predicted, and the peak memory in a process of its own.
    """
    ways = [way for way in (ssh, adb, kit, answer) if way]
    if len(ways) > 1 or bool(models) == bool(answer):
        raise BadInputError("give models, and at most one of --ssh, --adb and --kit; or --import alone")
    from latency_models import bench
    from search.deploy.tables import bench_table
    from training.sizes import shape_of

    shape = None if input_size is None else shape_of(input_size)
    if answer:
        machine, timings = bench.read(answer)
    elif kit:
        bench.write(kit, models, shape, rounds)
        terminal.note(f"{len(models)} models in {kit}: run 'python3 board.pyz .' there on the board")
        return
    else:
        machine, timings = _timed(models, shape, rounds, ssh, adb)
    found: dict[str, Any] = {"machine": machine, "timings": [asdict(timing) for timing in timings]}
    terminal.say(found, as_json, bench_table(machine, timings, shape))


def _timed(
    models: tuple[Path, ...], shape: tuple[int, ...] | None, rounds: int, ssh: str | None, adb: str | None
) -> tuple[str, list[Any]]:
    from latency_models import bench, board
    from latency_models.remote import measure_on, reached

    with tempfile.TemporaryDirectory(prefix="bench-") as name, terminal.bars() as watch:
        folder = Path(name)
        bench.write(folder, models, shape, rounds)
        place = reached(ssh, adb) or bench.Here(folder)
        measure_on(place, folder, watch(f"timing on {place.name}"))
        return bench.read(folder / board.RESULTS)
