"""Callbacks for progress and messages."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

Progress = Callable[[int, int], None]  # done, total
Watch = Callable[[str], Progress]  # what is done
Note = Callable[[str], None]  # a line for people


def quiet(done: int, total: int) -> None:
    """Progress that is not shown."""


def unsaid(text: str) -> None:
    """A message that is not shown."""


def silent(what: str) -> Progress:
    """A watch whose progress is not shown."""
    return quiet


@dataclass(frozen=True)
class Session:
    """Where a command keeps its files, and how it reports.

    Attributes
    ----------
    home : folder of studies, teachers and learned layers
    watch, note : called with progress, and with messages
    """

    home: Path
    watch: Watch = silent
    note: Note = unsaid
