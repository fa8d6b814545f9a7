"""Help: every option of every command says what it does, and shows what is not obvious."""

from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner

from search.commands.main import COMMANDS, cli

_FREE_FORM = (
    "--only",
    "--objectives",
    "--max-latency",
    "--input-size",
    "--storage",
    "--ssh",
    "--adb",
    "--joint",
)
_EXAMPLE = ("e.g.", "such as", ": 64", ": 40ms", "40ms,")


def commands(group: click.Command, name: str = "") -> Iterator[tuple[str, click.Command]]:
    """Every command with its whole name, and those below it."""
    yield name, group
    if isinstance(group, click.Group):
        context = click.Context(group)
        for below in group.list_commands(context):
            yield from commands(group.get_command(context, below), f"{name} {below}".strip())  # type: ignore[arg-type]


EVERY = dict(commands(cli))


def options(command: click.Command) -> Iterator[tuple[str, str]]:
    """Options with their help, as it is shown."""
    context = click.Context(command)
    for option in command.params:
        if isinstance(option, click.Option):
            record = option.get_help_record(context)
            yield option.opts[0], record[1] if record else ""


def test_all_commands_are_looked_at() -> None:
    assert {name.split()[0] for name in EVERY if name} == COMMANDS.keys()
    assert {"plan show", "plan merge", "targets diff"} <= EVERY.keys()


@pytest.mark.parametrize("name", [name for name in EVERY if name])
def test_help_is_whole(name: str) -> None:
    command = EVERY[name]
    for option, text in options(command):
        assert len(text.split("[")[0].split()) >= 3, f"{name} {option}: {text}"
        if option in _FREE_FORM:
            assert any(example in text for example in _EXAMPLE), f"{name} {option} shows no example: {text}"
    for option in command.params:
        if option.envvar:
            assert "env var" in dict(options(command))[option.opts[0]], f"{name} {option.opts[0]}"
    shown = CliRunner().invoke(cli, [*name.split(), "--help"]).output
    assert "Example:" in shown
