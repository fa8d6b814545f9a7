"""The ``search`` command."""

from pathlib import Path
from typing import Any

import click

from search import samplers
from search.called import example
from search.commands import kinds, options, terminal
from search.proxy import Proxy
from search.scoring.objectives import ALWAYS, MORE
from training.progress import Session


@click.command("search", epilog=example("search --target arm-a57 --budget 100"))
@options.number(
    "--budget",
    1,
    "Stop when the study (with several --narrow, each) has this many finished trials.",
    default=100,
)
@options.model
@options.within
@options.learning
@options.input_size
@options.targets
@options.sites
@options.shares
@click.option(
    "--objectives",
    default=",".join(ALWAYS),
    show_default=True,
    help=f"What the front trades off: latency and accuracy, and any of {', '.join(MORE)} to be small as "
    "well, e.g. latency,accuracy,memory.",
)
@click.option(
    "--study",
    "name",
    help="Name to keep and find the study by.  [default: model-target-data-size; with --narrow 0.5 "
    "model-narrow-0.5-target-...]",
)
@click.option(
    "--resume/--no-resume",
    default=True,
    help="Continue an existing study of that name, or refuse.  [default: --resume]",
)
@click.option(
    "--sampler",
    type=click.Choice(samplers.names()),
    default=samplers.DEFAULT,
    show_default=True,
    help="What chooses the next plan; auto found the best fronts in the fewest trials "
    "(docs/how-it-decides.md).",
)
@options.metric
@click.option(
    "--zero-shot",
    is_flag=True,
    help="No training: exact merges, then low-rank factors of the existing weights. Needs no data; "
    "with --eval-data, plans are judged on it.",
)
@options.number(
    "--bank-images",
    10,
    "Images that each block is learned on: more take longer and overfit less.",
    default=Proxy.bank_images,
)
@options.number(
    "--bank-steps",
    0,
    "Steps to learn a block, once for all trials: more take longer and lose less.",
    default=Proxy.bank_steps,
)
@options.number(
    "--relearn-steps",
    0,
    "Steps per block when a trial relearns its blocks from bottom to top: more rank plans better, and make "
    "every trial longer.",
    default=Proxy.relearn_steps,
)
@options.number(
    "--proxy-steps",
    0,
    "Steps of a trial's fine-tune of the whole network, after which it is judged.",
    default=Proxy.finetune_steps,
)
@click.option(
    "--proxy-seconds",
    type=kinds.Between(0, min_open=True),
    help="Seconds a trial may take on this machine: measured once, then turned into --proxy-steps.",
)
@options.number(
    "--teacher-epochs",
    0,
    "Passes over the data to train the teacher for.  [default: 0 with weights, else by the data]",
)
@options.number(
    "--max-images", 10, "Use at most this many images of a folder, drawn by --seed.", default=20000
)
@click.option(
    "--max-latency", help="Look for plans that take at most this long: 40ms, or 50% of the untouched network."
)
@click.option(
    "--max-drop",
    type=float,
    help="Look for plans that lose at most this many points before training.  [default: a quarter of the "
    "accuracy, and what loses more is not refused]",
)
@click.option(
    "--max-memory", type=float, help="Limit on a plan's peak memory for feature maps, in MiB, e.g. 6.5."
)
@click.option("--max-params", type=float, help="Limit on a plan's parameters, in millions, e.g. 4.")
@options.number(
    "--finish",
    0,
    "At the end, train so many plans around the front's knee (and the fastest within --max-drop) for 4 "
    "passes, and show what they reach on the test images, and what all others may; what that costs is said "
    "first.",
    default=0,
)
@click.option(
    "--bank",
    envvar="REBIRTH_BANK",
    show_envvar=True,
    help="Where learned layers are kept and shared: a folder, or a URL such as s3://bucket/bank (needs "
    "fsspec's driver for it).  [default: HOME/bank]",
)
@options.number("--workers", 1, "Processes on this machine that judge plans in parallel.", default=1)
@click.option(
    "--scheduler",
    metavar="ADDRESS",
    help="Instead, use the workers of this Dask scheduler: tcp://127.0.0.1:8786 or tls://HOST:8786.",
)
@options.number(
    "--seed", 0, "Seed of data splits, training and sampling: the same seed gives the same plans.", default=0
)
@options.threads
@options.storage
@options.as_json
def command(
    as_json: bool,
    storage: str | None,
    home: Path,
    threads: int | None,
    shares: tuple[float, ...],
    **given: Any,
) -> None:
    """Search for merges that make a network fast on a target and keep its accuracy.

    By default: GoogLeNet on scikit-learn's handwritten digits, trained first. Run the same command again
    to continue the study; the budget counts all its finished trials.
    """
    terminal.take_threads(threads)  # PyTorch takes seconds to start: this is the first sign of life
    from search import run
    from search.config import SearchConfig
    from search.results import tables
    from search.results.joined import front_of_all
    from search.study import recorded
    from search.study.storage import database

    targets, url = given.pop("targets"), database(storage, home)
    configs = [SearchConfig.of(targets, **fields) for fields in _a_share_each(given, shares)]
    with terminal.bars() as watch:
        studies = run.search_all(configs, url, Session(home, watch, terminal.note))
    found = front_of_all([recorded.read(study.study_name, url) for study in studies])
    terminal.say(found.answer(), as_json, tables.front_table(found), tables.next_commands(found))


def _a_share_each(given: dict[str, Any], shares: tuple[float, ...]) -> list[dict[str, Any]]:
    """The fields of a search for every share of the channels, the smallest first."""
    wanted = sorted(set(shares)) or [1.0]
    several = given["name"] and len(wanted) > 1
    names = {share: f"{given['name']}-narrow-{share:g}" for share in wanted if several and share < 1}
    return [given | {"narrow": share, "name": names.get(share, given["name"])} for share in wanted]
