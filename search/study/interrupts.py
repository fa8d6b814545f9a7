"""Ctrl-C: held back while a database is at work, and never lost."""

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager


def _heard() -> bool:
    """Whether Ctrl-C comes here: to the main thread, unless a program was started to ignore it (nohup)."""
    in_main = threading.current_thread() is threading.main_thread()
    return in_main and callable(signal.getsignal(signal.SIGINT))


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Hold Ctrl-C back while the database is at work: no trial in a false state, no lock left behind.

    It comes at the end, also after an error; within another such block, at the end of that one.
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
    """Ctrl-C as usual, and a list that holds it: what a destructor raises, Python only reports."""
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
