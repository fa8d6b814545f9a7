"""The program as it was called, for commands that it prints: they can be copied and run as they are."""

import sys
from pathlib import Path
from shlex import quote

import click
from click.core import ParameterSource

from training.config import is_factory
from training.metric import is_own


def called() -> str:
    """``rebirth`` where it is installed; in a checkout Python and ``cli.py``, as they were called."""
    program = Path(sys.argv[0])
    if __name__.startswith("rebirth.") or program.stem == "rebirth":
        return "rebirth"
    python = sys.orig_argv[0] if program.name == "cli.py" else "python"
    return f"{quote(python)} {quote(sys.argv[0]) if program.name == 'cli.py' else 'cli.py'}"


def _flag(name: str) -> str:
    """A flag again, if the user gave it on the command line."""
    context = click.get_current_context(silent=True)
    if context is None or context.get_parameter_source(name) is not ParameterSource.COMMANDLINE:
        return ""
    return f" --{name} {quote(str(context.params[name]))}"


def home_flag() -> str:
    """``--home`` as the user gave it; empty if not."""
    return _flag("home")


def database_flags() -> str:
    """``--home`` and ``--storage`` as the user gave them; empty if not."""
    return _flag("home") + _flag("storage")


def trusting(model: str, metric: str | None = None) -> str:
    """The flags that a command needs to run code of the user's own: a model's, or a metric's by its name."""
    trust = " --trust" if is_factory(model) else ""
    return trust + (f" --metric {quote(metric)}" if metric and is_own(metric) else "")


def example(*commands: str) -> str:
    """The example at the end of a command's help."""
    return "Example: " + "; ".join(f"{called()} {command}" for command in commands)


def next_steps(*commands: str, title: str = "Next:") -> str:
    """The commands that come next, to be printed."""
    return "\n".join((title, *(f"  {called()} {command}" for command in commands)))
