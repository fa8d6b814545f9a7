"""The ``train`` command."""

from pathlib import Path
from typing import Any

import click

from search import deploy, report
from search.commands import options
from search.planfile import PlanFile
from training.data import NO_DATA
from training.errors import BadInputError


@click.command("train", epilog="Example: python cli.py train --plan plan.json --epochs 10 --out runs/merged")
@click.option(
    "--plan", "path", type=click.Path(path_type=Path), required=True, help="As 'plan --out' wrote it."
)
@options.number("--epochs", 0, "Passes over the training images.", default=10)
@click.option(
    "--augment/--no-augment",
    default=None,
    help="Learn on random parts of the images, half of them mirrored.  [default: on photos, not on digits]",
)
@options.folder("--out", required=True, text="Folder of the run: checkpoints, weights, result.")
@options.learning
@options.home
@options.as_json
def command(
    path: Path, epochs: int, augment: bool | None, out: Path, home: Path, as_json: bool, **given: Any
) -> None:
    """Fine-tune a plan's network fully against its teacher and report test accuracy of both.

    The same command again resumes from the last finished epoch. A study's plan brings its data along;
    a preset needs --data (and --weights).
    """
    plan = PlanFile.load(path)
    setup = plan.setup_with(path, given)
    if setup.data == NO_DATA:
        raise BadInputError(f"plan {path} names no images to learn on; give --data")
    with report.bars() as watch:
        changing = setup.data != "digits" if augment is None else augment
        trained = deploy.train(plan, setup, epochs, changing, out, home, watch, report.note)
    command = f"Next:\n  python cli.py export --run {out} --out model.onnx"
    options.say(trained.answer(), as_json, report.trained_table(trained), command)
