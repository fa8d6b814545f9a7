"""The ``export`` command."""

from pathlib import Path

import click

from search import deploy, report
from search.commands import options


@click.command("export", epilog="Example: python cli.py export --run runs/merged --out model.onnx")
@options.folder("--run", required=True, text="Folder of a finished run, as 'train --out' made it.")
@options.file("--out", required=True, text="ONNX file to write.")
@options.number("--threads", 1, "Threads for the timing.", default=1)
@options.home
@options.as_json
def command(run: Path, out: Path, threads: int, home: Path, as_json: bool) -> None:
    """Write a trained network as ONNX, check its answers on real images, time it beside the original."""
    with report.bars() as watch:
        exported = deploy.export(run, out, threads, home, watch)
    options.say(exported.answer(), as_json, report.exported_table(exported))
