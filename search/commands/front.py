"""The ``front`` command."""

from pathlib import Path

import click

from search.called import example
from search.commands import kinds, options, terminal
from training.errors import BadInputError


@click.command("front", epilog=example("front --study googlenet-arm-a57-digits-64 --html front.html"))
@options.studies(required=True)
@options.file("--csv", text="Write the front's points to a CSV file.")
@options.file("--html", text="Write a web page of one study, which works offline.")
@options.storage
@options.as_json
def command(
    names: tuple[str, ...],
    storage: str | None,
    home: Path,
    csv: Path | None,
    html: Path | None,
    as_json: bool,
) -> None:
    """Show the Pareto front of a study, or of several together, from the database alone."""
    from search.results import tables
    from search.results.joined import front_of_all
    from search.study import recorded
    from search.study.storage import database

    kinds.require_apart({"--csv": csv, "--html": html})
    if html and len(set(names)) > 1:
        raise BadInputError("--html draws the page of one study; give one --study with it")
    studies = [recorded.read(name, database(storage, home)) for name in names]
    found = front_of_all(studies)
    if csv:
        tables.write_csv(found, csv)
        terminal.note(f"front written to {csv}")
    if html:
        from search.results.html import write_page

        write_page(studies[0], found, html)
        terminal.note(f"front written to {html}")
    terminal.say(found.answer(), as_json, tables.front_table(found), tables.next_commands(found))
