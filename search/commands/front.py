"""The ``front`` command."""

from pathlib import Path

import click

from search.called import example
from search.commands import options, terminal


@click.command("front", epilog=example("front --study googlenet-arm-a57-digits-64 --html front.html"))
@click.option("--study", "name", required=True, help="Name of the study, as printed by 'search'.")
@options.file("--csv", text="Write the front's points to a CSV file.")
@options.file("--html", text="Write a web page that works offline.")
@options.storage
@options.as_json
def command(
    name: str, storage: str | None, home: Path, csv: Path | None, html: Path | None, as_json: bool
) -> None:
    """Show the Pareto front of a study, from its database alone."""
    from search.results import tables
    from search.results.front import front_of
    from search.study import recorded
    from search.study.storage import database

    study = recorded.read(name, database(storage, home))
    found = front_of(study)
    if csv:
        tables.write_csv(found, csv)
        terminal.note(f"front written to {csv}")
    if html:
        from search.results.html import write_page

        write_page(study, found, html)
        terminal.note(f"front written to {html}")
    options.say(found.answer(), as_json, tables.front_table(found), tables.next_commands(found))
