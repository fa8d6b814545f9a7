"""The ``sites`` command."""

from pathlib import Path
from typing import Any

import click

from search.called import example
from search.commands import options, terminal


@click.command("sites", epilog=example("sites --model bvlc_googlenet --target arm-a57"))
@options.sites
@options.narrow("Leave every layer about this share of its channels first, e.g. 0.75.")
@options.threads
@options.structure
def command(target: str, home: Path, as_json: bool, threads: int | None, **given: Any) -> None:
    """List what can be merged in a network, and how each option alone changes its latency."""
    from search.results import network_tables
    from search.scoring.availability import priced
    from search.scoring.device import Device
    from search.space.listing import list_sites
    from training.workbench import structure

    if threads:
        terminal.take_threads(threads)
    device = Device.named(target, home)
    (latencies,) = priced(structure(**given), [device])
    with terminal.bars() as watch:
        latencies.learn_all(watch, terminal.note)
        listing = list_sites(latencies, watch("scoring every option"))
    tables: list[Any] = [*listing.network.remarks, network_tables.sites_table(listing)]
    if listing.network.refused:
        tables.append(network_tables.refused_table(listing))
    terminal.say(listing.answer(), as_json, *tables)
