"""The ``train`` command."""

from pathlib import Path
from shlex import quote
from typing import Any

import click

from search.commands import options, terminal
from search.deploy.tables import trained_table
from search.deploy.train import Training, relearn_steps_for, train
from search.results.planfile import PlanFile
from training.data.loading import NO_DATA
from training.errors import BadInputError
from training.finetune.fit import is_first
from training.progress import silent


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
@click.option(
    "--recipe",
    type=click.Choice(["ours", "paper"]),
    default="ours",
    show_default=True,
    help="ours: learned layers, then the teacher's answers and features; paper: new layers "
    "drawn at random and trained with labels, one after the other from bottom to top.",
)
@click.option(
    "--joint",
    multiple=True,
    metavar="NAMES",
    help="paper: layers learned at once, such as 4b,4c,4d (parts of their names).",
)
@click.option(
    "--with-labels/--without-labels",
    "labels",
    default=None,
    help="ours: learn from the images' labels too.  [default: with, but where --eval-data judges without]",
)
@click.option(
    "--rate",
    type=click.FloatRange(0, min_open=True),
    help="ours: a step of training the whole network, in shares of each weight's size.  "
    "[default: by the number of images]",
)
@options.number(
    "--relearn-steps",
    0,
    "ours: steps a block, from bottom to top, before the whole is trained.  [default: 1500; 120 on digits]",
)
@options.number(
    "--relearn-images",
    1,
    "ours: images for those steps.",
    default=400,
)
@options.number(
    "--relearn-views",
    1,
    "ours: how often each is seen, itself and then changed at random; kept in memory (GoogLeNet, 224 "
    "pixels: 2.5 MB a view in bfloat16, else 5).",
    default=1,
)
@options.number(
    "--patience",
    0,
    "Stop after so many epochs without a better accuracy on the proxy images; 0: never.",
    default=0,
)
@options.folder("--out", required=True, text="Folder of the run: checkpoints, weights, result.")
@options.learning
@options.home
@options.as_json
def command(
    path: Path,
    epochs: int,
    augment: bool | None,
    recipe: str,
    joint: tuple[str, ...],
    labels: bool | None,
    rate: float | None,
    relearn_steps: int | None,
    relearn_images: int,
    relearn_views: int,
    patience: int,
    out: Path,
    home: Path,
    as_json: bool,
    **given: Any,
) -> None:
    """Train a plan's network fully and report test accuracy of it and its teacher.

    The same command again resumes from the last finished epoch. A study's plan brings its data along;
    a preset needs --data (and --weights). OUT/tensorboard holds the losses. Runs on the first GPU where there
    is one, and on several started by 'torchrun --nproc-per-node N cli.py train ...'.
    """
    if joint and recipe != "paper":
        raise BadInputError(f"--joint {joint[0]} goes with --recipe paper; ours learns every layer by itself")
    plan = PlanFile.load(path)
    setup = plan.setup_with(path, given)
    if setup.data == NO_DATA:
        raise BadInputError(f"plan {path} names no images to learn on; give --data")
    photos = setup.data != "digits"
    training = Training(
        epochs,
        recipe,
        setup.eval_data is None if labels is None else labels,
        rate,
        photos if augment is None else augment,
        patience,
        tuple(tuple(names.split(",")) for names in joint),
        relearn_images,
        relearn_views,
        relearn_steps_for(setup.data) if relearn_steps is None else relearn_steps,
    )
    if not is_first():
        train(plan, setup, training, out, home, silent, lambda text: None)
        return
    with terminal.bars() as watch:
        trained = train(plan, setup, training, out, home, watch, terminal.note)
    command = f"Next:\n  python cli.py export --run {quote(str(out))} --out model.onnx"
    options.say(trained.answer(), as_json, trained_table(trained), command)
