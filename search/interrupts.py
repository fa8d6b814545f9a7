"""Ctrl-C: held back while a database is written, and never lost."""

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Hold Ctrl-C back while the database is written, so that no trial is left in a false state."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    asked: list[int] = []
    usual = signal.signal(signal.SIGINT, lambda number, _: asked.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, usual)
    if asked:
        raise KeyboardInterrupt


@contextmanager
def noticed() -> Iterator[list[int]]:
    """Ctrl-C as usual, and a list that holds it: what a destructor raises, Python only reports."""
    asked: list[int] = []
    if threading.current_thread() is not threading.main_thread():
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
