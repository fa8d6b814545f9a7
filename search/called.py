"""The name under which the program was called, for commands that it prints."""

import sys
from pathlib import Path

from training.config import is_factory


def called() -> str:
    """``rebirth`` where it is installed, or ``python cli.py`` in a checkout."""
    installed = __name__.startswith("rebirth.") or Path(sys.argv[0]).stem == "rebirth"
    return "rebirth" if installed else "python cli.py"


def trusting(model: str) -> str:
    """The flag that a command needs to run a model's own code; empty if it has none."""
    return " --trust" if is_factory(model) else ""


def example(*commands: str) -> str:
    """The example at the end of a command's help."""
    return "Example: " + "; ".join(f"{called()} {command}" for command in commands)


def next_steps(*commands: str) -> str:
    """The commands that come next, to be printed."""
    return "\n".join(("Next:", *(f"  {called()} {command}" for command in commands)))
