"""The ``sites`` command."""

from pathlib import Path
from typing import Any

import click

from search import report, report_network
from search.commands import options
from search.latency import Device
from search.pricing import priced
from search.setup import structure
from search.sites import list_sites


@click.command("sites", epilog="Example: python cli.py sites --model bvlc_googlenet --target arm-a57")
@options.sites
@options.structure
def command(target: str, home: Path, as_json: bool, **given: Any) -> None:
    """List what can be merged in a network, and what each option alone does to its latency."""
    device = Device.named(target, home)
    (latencies,) = priced(structure(**given), [device])
    with report.bars() as watch:
        latencies.learn_all(watch)
        listing = list_sites(latencies, watch("scoring every option"))
    tables: list[Any] = [*listing.network.remarks, report_network.sites_table(listing)]
    if listing.network.refused:
        tables.append(report_network.refused_table(listing))
    options.say(listing.answer(), as_json, *tables)
