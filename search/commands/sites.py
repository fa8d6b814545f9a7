"""The ``sites`` command."""

from pathlib import Path

import click

from search import report, report_network
from search.commands import options
from search.latency import Device, Latencies
from search.setup import structure
from search.sites import list_sites


@click.command("sites", epilog="Example: python cli.py sites --model bvlc_googlenet --target arm-a57")
@options.structure
def command(
    model: str, input_size: int | None, classes: int | None, target: str, home: Path, as_json: bool
) -> None:
    """List what can be merged in a network, and what each option alone does to its latency."""
    device = Device.named(target, home)
    latencies = Latencies(structure(model, input_size, classes), device)
    with report.bars() as watch:
        latencies.learn_all(watch)
        listing = list_sites(latencies, watch("scoring every option"))
    tables = [report_network.sites_table(listing)]
    if listing.network.refused:
        tables.append(report_network.refused_table(listing))
    options.say(listing.answer(), as_json, *tables)
