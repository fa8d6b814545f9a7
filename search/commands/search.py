"""The ``search`` command."""

from pathlib import Path
from typing import Any

import click

from search import run, samplers
from search.called import example
from search.commands import options, terminal
from search.config import SearchConfig
from search.proxy import Proxy
from search.results import front, tables
from search.scoring.objectives import ALWAYS, MORE
from search.study.storage import database
from search.titles import METRICS


@click.command("search", epilog=example("search --target arm-a57 --budget 100"))
@options.number("--budget", 1, "Finished trials that the study shall have in the end.", default=100)
@options.model
@options.learning
@options.input_size
@options.targets
@options.sites
@click.option(
    "--objectives",
    default=",".join(ALWAYS),
    show_default=True,
    help=f"latency,accuracy and any of {','.join(MORE)} after them, which shall be small too.",
)
@click.option("--study", "name", help="Name of the study.  [default: model-target-data-size]")
@click.option(
    "--resume/--no-resume",
    default=True,
    help="Continue a study of that name, or refuse to.  [default: --resume]",
)
@click.option("--sampler", type=click.Choice(samplers.names()), default=samplers.DEFAULT, show_default=True)
@click.option(
    "--metric",
    type=click.Choice(list(METRICS)),
    default=Proxy.metric,
    show_default=True,
    help="Accuracy that counts; expected: the mean probability of the right class, finer than top-1.",
)
@click.option(
    "--zero-shot",
    is_flag=True,
    help="No training: exact merges, then layers factored with the weights that they have. Needs no data; "
    "with --eval-data, plans are judged on it.",
)
@options.number("--bank-images", 10, "Images that blocks are learned on.", default=Proxy.bank_images)
@options.number("--bank-steps", 0, "Steps with which a block is learned once.", default=Proxy.bank_steps)
@options.number(
    "--relearn-steps", 0, "Steps a block of a trial's pass from bottom to top.", default=Proxy.relearn_steps
)
@options.number(
    "--proxy-steps", 0, "Steps of a trial's fine-tune of the whole network.", default=Proxy.finetune_steps
)
@click.option(
    "--proxy-seconds",
    type=click.FloatRange(0, min_open=True),
    help="What a trial may take here: measured once, and turned into --proxy-steps.",
)
@options.number("--teacher-epochs", 0, "Passes over the data for a teacher that has no weights.")
@options.number("--max-images", 10, "Images of a folder that are used at most.", default=20000)
@click.option("--max-latency", help="Plans may take so long at most: 40ms, or 50% of the untouched network.")
@click.option("--max-drop", type=float, help="Look for plans that lose at most so many points.")
@click.option("--max-memory", type=float, help="MiB that a plan's maps may take at once.")
@click.option("--max-params", type=float, help="Parameters that a plan may have, in millions.")
@click.option(
    "--bank",
    envvar="REBIRTH_BANK",
    help="Where learned layers are kept and shared: a folder, or a URL as s3://bucket/bank (with fsspec's "
    "driver for it installed).  [default: HOME/bank]",
)
@options.number("--workers", 1, "Processes of this machine that judge plans at once.", default=1)
@click.option(
    "--scheduler",
    metavar="ADDRESS",
    help="Instead: a Dask scheduler whose workers judge plans, as tcp://127.0.0.1:8786 or tls://HOST:8786.",
)
@options.number("--seed", 0, "Decides splits, learning and sampling.", default=0)
@options.storage
@options.as_json
def command(as_json: bool, storage: str | None, home: Path, **given: Any) -> None:
    """Search the merges of a network that are fast on a target and keep its accuracy.

    Without other arguments: GoogLeNet on scikit-learn's handwritten digits, trained first. The same
    command again continues the study; the budget counts all its finished trials.
    """
    config = SearchConfig.of(given.pop("targets"), **given)
    with terminal.bars() as watch:
        study = run.search(config, database(storage, home), home, watch, terminal.note)
    found = front.read(study)
    options.say(found.answer(), as_json, tables.front_table(found), tables.next_commands(found))
