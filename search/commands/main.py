"""The program: its commands, and how their errors are reported."""

import difflib
import importlib
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import click

from latency_models.text import plain
from search.called import example
from search.commands.named import flags
from search.study.interrupts import end_by_sigterm

COMMANDS = {
    "search": "Search for merges that make a network fast on a target and keep its accuracy.",
    "front": "Show the Pareto front of a study, from its database alone.",
    "plan": "Select a plan from a study or a preset, and show what it merges.",
    "train": "Train a plan's network fully, with the original as its teacher.",
    "export": "Write a trained network as ONNX, check its answers, and time it beside the original.",
    "bench": "Time finished models side by side, here or on a board.",
    "sites": "List what can be merged in a network, and how each option changes its latency.",
    "targets": "List the targets and what their latencies are based on.",
    "profile": "Show a network's latency layer by layer; measure this machine or a board.",
}
_PROJECT = Path(__file__).parents[2] / "pyproject.toml"


def _version() -> str:
    """The version as installed, or of this checkout."""
    try:
        return version("rebirth-search")
    except PackageNotFoundError:
        return str(tomllib.loads(_PROJECT.read_text())["project"]["version"])


def _show_version(context: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted:
        click.echo(f"rebirth {_version()}")
        context.exit()


class Commands(click.Group):
    """Imports a command's module only when it is called: help and small commands need no torch."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            near = difflib.get_close_matches(cmd_name, COMMANDS, 1)
            meant = f" (did you mean {near[0]}?)" if near else ""
            raise click.UsageError(f"no such command {cmd_name!r}{meant}; expected {', '.join(COMMANDS)}")
        return importlib.import_module(f"{__package__}.{cmd_name}").command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.command(
    cls=Commands,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=example("search --target arm-a57 --budget 100"),
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_show_version,
    help="Show it and exit.",
)
@click.pass_context
def cli(context: click.Context) -> None:
    """Make a trained CNN fast on a given CPU by merging its layers, found by search.

    In order: search -> front -> plan -> train -> export.
    """
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


def main() -> None:
    """Run a command: exit code 0, 1 (failed) or 2 (bad input), with one sentence for each error."""
    end_by_sigterm()
    try:
        cli.main(standalone_mode=False)
    except click.ClickException as error:
        _end(error.format_message(), 2)
    except (KeyboardInterrupt, click.Abort):
        _end("interrupted; finished work is kept, the same command continues", 1)
    except Exception as error:
        _end_with(error)


def _end_with(error: Exception) -> None:
    from search.commands import errors

    if isinstance(error, errors.BAD_INPUT):
        _end(str(error), 2)
    if isinstance(error, OSError) and error.filename and error.strerror:
        _end(f"{error.filename}: {error.strerror}", 1)
    if isinstance(error, errors.FAILED):
        _end(str(error) or type(error).__name__, 1)
    raise error


def _end(message: str, code: int) -> None:
    click.echo(f"error: {plain(flags(message))}", err=True)
    sys.exit(code)
