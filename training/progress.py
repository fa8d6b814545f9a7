"""How long work tells how far it is."""

from collections.abc import Callable

Progress = Callable[[int, int], None]  # done, total
Watch = Callable[[str], Progress]  # what is done
Note = Callable[[str], None]  # a line for people


def quiet(done: int, total: int) -> None:
    """A progress that shows nothing."""


def unsaid(text: str) -> None:
    """A note that nobody reads."""


def silent(what: str) -> Progress:
    """A watch that shows nothing."""
    return quiet
