"""The ``targets`` command."""

from dataclasses import asdict

import click
from rich.table import Table

from latency_models import target
from search.commands import options

_FIELDS = ("name", "device", "runtime", "threads", "precision", "kind", "source")


@click.command("targets", epilog="Example: python cli.py targets --json")
@options.as_json
def command(as_json: bool) -> None:
    """List the targets and what their latencies rest on."""
    known = [asdict(target.load(name)) for name in target.names()]
    answer = [{field: spec[field] for field in _FIELDS} for spec in known]
    table = Table(title="targets")
    for field in _FIELDS:
        table.add_column(field, overflow="fold")
    for spec in answer:
        table.add_row(*map(str, spec.values()))
    options.say(answer, as_json, table)
