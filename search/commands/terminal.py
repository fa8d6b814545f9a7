"""Lines and progress bars on standard error."""

from collections.abc import Iterator
from contextlib import contextmanager

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


def note(text: str) -> None:
    """Print a line to standard error."""
    _notes.print(plain(flags(text)), soft_wrap=True)


@contextmanager
def bars() -> Iterator[Watch]:
    """Progress bars on standard error: ``watch(what)`` gives a callback of (done, total)."""
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
