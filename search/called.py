"""How the program was called: as people shall call it again."""

import sys
from pathlib import Path


def called() -> str:
    """``rebirth`` where it is installed, or ``python cli.py`` in a checkout."""
    installed = __name__.startswith("rebirth.") or Path(sys.argv[0]).stem == "rebirth"
    return "rebirth" if installed else "python cli.py"


def example(*commands: str) -> str:
    """Commands that show how something is used, as the end of its help."""
    return "Example: " + "; ".join(f"{called()} {command}" for command in commands)


def next_steps(*commands: str) -> str:
    """Commands to go on with, for people."""
    return "\n".join(("Next:", *(f"  {called()} {command}" for command in commands)))
