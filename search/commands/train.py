"""The ``train`` command."""

from pathlib import Path
from shlex import quote
from typing import Any

import click

from search.called import example, home_flag, next_steps, trusting
from search.commands import kinds, options, terminal
from training.progress import Session
from training.source import Habits, unusual


@click.command("train", epilog=example("train --plan plan.json --epochs 10 --out runs/merged"))
@click.option(
    "--plan",
    "path",
    type=click.Path(path_type=Path),
    required=True,
    help="Plan to train: a file written by 'plan --out'.",
)
@options.number("--epochs", 0, "Passes over the training images; more bring back more accuracy.", default=10)
@click.option(
    "--augment/--no-augment",
    default=None,
    help="Train on random crops, half of them mirrored.  "
    f"[default: on photos, not on {', '.join(unusual('augment'))}]",
)
@click.option(
    "--recipe",
    type=click.Choice(["ours", "paper"]),
    default="ours",
    show_default=True,
    help="ours: learned layers, then distillation of the teacher's answers and features; paper: new "
    "layers start at random and are trained with labels, one after the other from bottom to top.",
)
@click.option(
    "--joint",
    multiple=True,
    metavar="NAMES",
    help="paper: layers trained together, such as 4b,4c,4d (parts of their names).",
)
@click.option(
    "--with-labels/--without-labels",
    default=None,
    help="ours: also learn from the images' labels.  [default: with, unless --eval-data is given]",
)
@click.option(
    "--rate",
    type=kinds.Between(0, min_open=True),
    help="ours: learning rate for the whole network, relative to the size of each weight, e.g. 0.012 for a "
    "teacher trained from scratch.  [default: 0.012; 0.001 with fewer than 4,000 images and no labels]",
)
@options.number(
    "--relearn-steps",
    0,
    "ours: steps per block, from bottom to top, before the whole network is trained.  "
    f"[default: {options.by_source(Habits.relearn_steps, unusual('relearn_steps'), 'on')}]",
)
@options.number(
    "--relearn-images",
    1,
    "ours: images for those steps; more overfit less.",
    default=400,
)
@options.number(
    "--relearn-views",
    1,
    "ours: versions of each of them: as it is, then augmented; kept in memory (GoogLeNet, 224 "
    "pixels: 2.5 MB a view in bfloat16, else 5).",
    default=1,
)
@options.number(
    "--patience",
    0,
    "Stop after this many epochs without better accuracy on the proxy images; 0: never.",
    default=0,
)
@options.folder("--out", required=True, text="Folder to keep the run in: checkpoints, weights, result.")
@options.own_model
@options.metric
@options.trust
@options.learning
@options.threads
@options.home
@options.as_json
def command(path: Path, out: Path, home: Path, as_json: bool, threads: int | None, **given: Any) -> None:
    """Train a plan's network fully, and report its test accuracy beside its teacher's.

    Run the same command again to resume from the last finished epoch. A study's plan knows its data; a
    preset's needs --data (and --weights). OUT/tensorboard holds the losses. Uses the first GPU if there is
    one, and several when started by 'torchrun --nproc-per-node N cli.py train ...'.
    """
    terminal.take_threads(threads)
    from search.deploy.tables import trained_table
    from search.deploy.train import Training, train
    from search.results.planfile import PlanFile
    from training.finetune.fit import is_first

    plan = PlanFile.load(path)
    given["joint"] = tuple(tuple(names.split(",")) for names in given["joint"])
    setup, training = Training.of(plan, given)
    if not is_first():
        train(plan, setup, training, out, Session(home))
        return
    with terminal.bars() as watch:
        trained = train(plan, setup, training, out, Session(home, watch, terminal.note))
    command = next_steps(
        f"export --run {quote(str(out))} --out model.onnx --original original.onnx"
        + home_flag()
        + trusting(setup.model)
    )
    terminal.say(trained.answer(), as_json, trained_table(trained), command)
