"""Ctrl-C: deferred during database work, and never lost."""

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager


def _heard() -> bool:
    """Whether this thread handles Ctrl-C: the main one, unless the program ignores it (nohup)."""
    in_main = threading.current_thread() is threading.main_thread()
    return in_main and callable(signal.getsignal(signal.SIGINT))


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Defer Ctrl-C during database work: no trial is left in a false state, no lock left behind.

    It is raised at the end, even after an error; in nested blocks, at the end of the outermost.
    """
    if not _heard():
        yield
        return
    asked: list[int] = []
    usual = signal.signal(signal.SIGINT, lambda number, _: asked.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, usual)
        if asked:
            usual(signal.SIGINT, None)  # type: ignore[operator, misc]


@contextmanager
def noticed() -> Iterator[list[int]]:
    """Handle Ctrl-C as usual, but also note it in a list: an exception in a destructor is swallowed."""
    asked: list[int] = []
    if not _heard():
        yield asked
        return

    def note(number: int, _: object) -> None:
        asked.append(number)
        raise KeyboardInterrupt

    usual, usual_report = signal.signal(signal.SIGINT, note), sys.unraisablehook
    sys.unraisablehook = lambda swallowed: (
        None if swallowed.exc_type is KeyboardInterrupt else usual_report(swallowed)
    )
    try:
        yield asked
    finally:
        signal.signal(signal.SIGINT, usual)
        sys.unraisablehook = usual_report
