"""Boards that are reached from here: a kit is sent, run and its answer brought back.

A board keeps its results as they are measured; when the connection is lost, the next attempt goes on
from there. Nothing that a user typed is ever part of a shell command.
"""

import hashlib
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from latency_models import board
from latency_models.remote.heard import BoardError, ConnectionLostError

Progress = Callable[[int, int], None]
_ATTEMPTS = 5
_WAIT_S = 3.0
_LACKS_PACKAGE, _NO_SUCH_COMMAND = 3, 127


class Board(Protocol):
    """One way to reach a board."""

    name: str

    def send(self, folder: Path, place: str) -> None:
        """Copy a kit to the board; results that are there stay."""
        ...

    def run(self, place: str, line: Callable[[str], None]) -> tuple[int, str]:
        """Run the kit; `line` gets each line that it prints. Returns its exit code and last error."""
        ...

    def fetch(self, place: str) -> bytes:
        """The results so far."""
        ...


def reached(ssh: str | None, adb: str | None) -> Board | None:
    """The board behind an SSH address or an Android serial number; None if neither is given."""
    if ssh:
        from latency_models.remote.ssh import Ssh

        return Ssh(ssh)
    if adb:
        from latency_models.remote.adb import Adb

        return Adb(adb)
    return None


def measure_on(place: Board, folder: Path, progress: Progress) -> None:
    """Run a kit on a board and put its ``results.jsonl`` into the kit's folder.

    Raises
    ------
    BoardError
        The board cannot be reached, lacks Python or the runtime, or the kit fails there.
    """
    name = "rebirth-kit-" + hashlib.sha256((folder / board.MANIFEST).read_bytes()).hexdigest()[:12]

    def line(text: str) -> None:
        found = re.match(r"(\d+) of (\d+)", text)
        if found:
            progress(int(found[1]), int(found[2]))

    for attempt in range(1, _ATTEMPTS + 1):
        try:
            place.send(folder, name)
            code, errors = place.run(name, line)
            _check(place, code, errors)
            (folder / board.RESULTS).write_bytes(place.fetch(name))
            return
        except ConnectionLostError:
            if attempt == _ATTEMPTS:
                raise
            time.sleep(_WAIT_S)


def _check(place: Board, code: int, last: str) -> None:
    if code == _LACKS_PACKAGE:
        raise BoardError(f"{place.name}: {last}")
    if code == _NO_SUCH_COMMAND:
        raise BoardError(f"{place.name} has no python3; install it, or use a kit on another board")
    if code != 0:
        raise BoardError(f"{place.name}: the kit ended with code {code}: {last}")
