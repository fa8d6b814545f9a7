"""Ctrl-C and SIGTERM: deferred during database work, and never lost."""

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

_Handler = Callable[[int, FrameType | None], object]
_INTERRUPTS: tuple[int, ...] = (signal.SIGINT, signal.SIGTERM)


def end_by_sigterm() -> None:
    """Let SIGTERM (``kill``, ``timeout``, a container that stops) end the program as Ctrl-C does."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


@contextmanager
def _handled(handler: _Handler) -> Iterator[dict[int, _Handler]]:
    """Handle the signals that would interrupt this thread; gives their usual handlers.

    There are none outside the main thread; a program that was started by nohup ignores Ctrl-C.
    """
    usual: dict[int, _Handler] = {}
    if threading.current_thread() is threading.main_thread():
        for number in _INTERRUPTS:
            known = signal.getsignal(number)
            if callable(known):
                usual[number] = known
                signal.signal(number, handler)
    try:
        yield usual
    finally:
        for number, known in usual.items():
            signal.signal(number, known)


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Defer interrupts during database work: no trial is left in a false state, no lock left behind.

    They are raised at the end, even after an error; in nested blocks, at the end of the outermost.
    """
    asked: list[int] = []
    usual: dict[int, _Handler] = {}
    try:
        with _handled(lambda number, _: asked.append(number)) as usual:
            yield
    finally:
        for number in asked[:1]:
            usual[number](number, None)


@contextmanager
def noticed() -> Iterator[list[int]]:
    """Handle interrupts as usual, but also note them in a list: an exception in a destructor is swallowed."""
    asked: list[int] = []

    def note(number: int, _: object) -> None:
        asked.append(number)
        raise KeyboardInterrupt

    with _handled(note) as usual:
        usual_report = sys.unraisablehook
        if usual:
            sys.unraisablehook = lambda swallowed: (
                None if swallowed.exc_type is KeyboardInterrupt else usual_report(swallowed)
            )
        try:
            yield asked
        finally:
            sys.unraisablehook = usual_report
