"""Answers on standard output; on standard error lines and progress: bars in a terminal, else plain lines."""

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Thread
from typing import Any

import click
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from latency_models.text import plain
from search.commands.named import flags
from training.progress import Progress as Told
from training.progress import Watch

_notes = Console(stderr=True, highlight=False, markup=False, emoji=False)
_AT_ONCE_SECONDS, _EVERY_SECONDS = 2, 25


def note(text: str) -> None:
    """Print a line to standard error."""
    _notes.print(plain(flags(text)), soft_wrap=True)


def say(answer: Any, as_json: bool, *parts: Any) -> None:
    """Print an answer as JSON or as tables (wide ones when piped)."""
    if as_json:
        click.echo(json.dumps(answer, indent=2))
        return
    width = None if sys.stdout.isatty() else 140
    console = Console(width=width, highlight=False, markup=False, emoji=False)
    for part in parts:
        console.print(part, soft_wrap=isinstance(part, str))


def take_threads(threads: int | None) -> None:
    """Compute with so many threads, or with as many as there are unused cores; say how many."""
    from training import threads as cores

    chosen = threads or cores.unused()
    cores.take(chosen)
    how = "" if threads else "; as many as are unused now, --threads changes it"
    note(f"computing with {chosen} thread{'s' if chosen > 1 else ''} of {cores.available()} cores{how}")


@contextmanager
def bars() -> Iterator[Watch]:
    """Progress on standard error: ``watch(what)`` gives a callback of (done, total)."""
    with _in_bars() if _notes.is_terminal else _in_lines() as watch:
        yield watch


@contextmanager
def _in_bars() -> Iterator[Watch]:
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=_notes) as progress:

        def watch(what: str) -> Told:
            tasks: list[TaskID] = []

            def update(done: int, total: int) -> None:
                if not tasks:
                    tasks.append(progress.add_task(what, total=total, completed=done))
                progress.update(tasks[0], completed=done, total=total)

            return update

        yield watch


class Lines:
    """Progress as lines, of what takes longer than 2 seconds: at first, every 25 seconds, and at the end."""

    def __init__(self, say: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self.say = say
        self.clock = clock
        self.now = self._begun("preparing")

    def _begun(self, what: str) -> "_Task":
        return _Task(what, self.clock())

    def watch(self, what: str) -> Told:
        """What begins now, as ``bars`` has it."""
        task = self.now = self._begun(what)

        def update(done: int, total: int) -> None:
            if not task.total:
                task.first, task.heard = done, self.clock()
            task.done, task.total = done, total
            if done >= total:
                if task.said is not None:
                    self.say(f"{what}: done in {self.clock() - task.since:.0f} s")
                self.now = self._begun("preparing")
            elif self.now is not task:
                self.now = task

        return update

    def tick(self) -> None:
        """Say how far it is, if that was not said lately."""
        task, passed = self.now, self.clock() - self.now.since
        if passed < _AT_ONCE_SECONDS or (task.said is not None and self.clock() - task.said < _EVERY_SECONDS):
            return
        task.said = self.clock()
        far, left = "", ""
        if task.total:
            far = f" {task.done} of {task.total},"
            # What is resumed begins with what was done before.
            done, took = task.done - task.first, self.clock() - task.heard
            if not done:
                done, took = task.done, passed
            left = f", about {took * (task.total - task.done) / done:.0f} s left" if done else ""
        self.say(f"{task.what}:{far} {passed:.0f} s{left}")


class _Task:
    """Something that is being done: how far, since when, and when that was said last.

    How far it was when that was `heard` first is kept too.
    """

    def __init__(self, what: str, since: float) -> None:
        self.what, self.since = what, since
        self.heard = since
        self.first = self.done = self.total = 0
        self.said: float | None = None


@contextmanager
def _in_lines() -> Iterator[Watch]:
    lines, ended = Lines(note), Event()

    def run() -> None:
        while not ended.wait(1):
            lines.tick()

    teller = Thread(target=run, daemon=True)
    teller.start()
    try:
        yield lines.watch
    finally:
        ended.set()
        teller.join()
