"""Boards that are reached from here: a kit is sent, run and its answer brought back.

A board keeps its results as they are measured; when the connection is lost, the next attempt goes on
from there. Nothing that a user typed is ever part of a shell command.
"""

import hashlib
import io
import re
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Protocol

from latency_models import board
from latency_models.kit import PROGRAM

Progress = Callable[[int, int], None]
_ATTEMPTS = 5
_WAIT_S = 3.0
_TIMEOUT_S = 20.0
_LACKS_PACKAGE, _NO_SUCH_COMMAND = 3, 127


class AddressError(ValueError):
    """A text is no address of a board; the message says what was expected."""


class BoardError(RuntimeError):
    """A board cannot be reached or cannot run a kit; the message says what to do."""


class ConnectionLostError(BoardError):
    """The connection broke; another attempt may go on."""


class Board(Protocol):
    """One way to reach a board."""

    name: str

    def send(self, folder: Path, place: str) -> None:
        """Copy a kit to the board; results that are there stay."""
        ...

    def run(self, place: str, line: Callable[[str], None]) -> tuple[int, str]:
        """Run the kit; each line that it prints, its exit code and its errors."""
        ...

    def fetch(self, place: str) -> bytes:
        """The results so far."""
        ...


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


def _check(place: Board, code: int, errors: str) -> None:
    last = (errors.strip().splitlines() or ["no message"])[-1][:300]
    if code == _LACKS_PACKAGE:
        raise BoardError(f"{place.name}: {last}")
    if code == _NO_SUCH_COMMAND:
        raise BoardError(f"{place.name} has no python3; install it, or use a kit on another board")
    if code != 0:
        raise BoardError(f"{place.name}: the kit ended with code {code}: {last}")


def _packed(folder: Path) -> bytes:
    """What a board needs of a kit, as one file."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for path in sorted(folder.iterdir()):
            if path.is_file() and path.name != board.RESULTS:
                archive.add(path, path.name)
    return packed.getvalue()


class Ssh:
    """A board behind SSH, with the user's own keys and known hosts; unknown hosts are refused.

    Parameters
    ----------
    address : ``user@host`` or ``user@host:port``
    root : folder on the board that holds the kits; its user's home as a rule
    """

    def __init__(self, address: str, root: str = ".") -> None:
        found = re.fullmatch(r"(?:([^@:\s]+)@)?([^@:\s]+)(?::(\d+))?", address)
        if not found:
            raise AddressError(f"{address!r} is no SSH address; expected user@host or user@host:port")
        self.user, self.host, self.port = found[1], found[2], int(found[3] or 22)
        self.name = address
        self.root = root

    def _connect(self):  # type: ignore[no-untyped-def]
        import paramiko

        client = paramiko.SSHClient()
        client.load_system_host_keys()
        client.set_missing_host_key_policy(paramiko.RejectPolicy())
        try:
            client.connect(self.host, self.port, self.user, timeout=_TIMEOUT_S, banner_timeout=_TIMEOUT_S)
        except paramiko.BadHostKeyException as error:
            raise BoardError(f"{self.name} shows another host key than the known one: {error}") from error
        except paramiko.AuthenticationException as error:
            raise BoardError(
                f"{self.name} refuses the login ({error}); set up a key with ssh-copy-id"
            ) from error
        except paramiko.SSHException as error:
            if "not found in known_hosts" in str(error):
                raise BoardError(
                    f"{self.name} is not a known host; connect once with 'ssh' and confirm its key"
                ) from error
            raise ConnectionLostError(f"{self.name} cannot be reached: {error}") from error
        except OSError as error:
            raise ConnectionLostError(f"{self.name} cannot be reached: {error}") from error
        client.get_transport().set_keepalive(5)
        return closing(client)

    def _do(self, command: str, line: Callable[[str], None], content: bytes = b"") -> tuple[int, str]:
        import paramiko

        with self._connect() as client:
            try:
                stdin, stdout, stderr = client.exec_command(command)
                stdin.write(content)
                stdin.channel.shutdown_write()
                for text in stdout:
                    line(text)
                code = stdout.channel.recv_exit_status()
                errors = stderr.read().decode(errors="replace")
            except (paramiko.SSHException, OSError, EOFError) as error:
                raise ConnectionLostError(f"the connection to {self.name} broke: {error}") from error
        if code == -1:
            raise ConnectionLostError(f"the connection to {self.name} broke while the kit ran")
        return code, errors

    def send(self, folder: Path, place: str) -> None:
        code, errors = self._do(
            f"mkdir -p {self.root}/{place} && tar -xzf - -C {self.root}/{place}",
            lambda _: None,
            _packed(folder),
        )
        if code != 0:
            raise BoardError(f"{self.name} cannot take the kit: {errors.strip()[:300]}")

    def run(self, place: str, line: Callable[[str], None]) -> tuple[int, str]:
        return self._do(f"cd {self.root}/{place} && python3 {PROGRAM} .", line)

    def fetch(self, place: str) -> bytes:
        lines: list[str] = []
        self._do(f"cat {self.root}/{place}/{board.RESULTS}", lines.append)
        return "".join(lines).encode()


class Adb:
    """An Android device; it needs a python3 with the runtime (as Termux has)."""

    root = "/data/local/tmp"

    def __init__(self, serial: str) -> None:
        self.serial = serial
        self.name = f"device {serial}"

    def _adb(self, *words: str) -> subprocess.CompletedProcess[str]:
        try:
            return subprocess.run(
                ["adb", "-s", self.serial, *words], capture_output=True, text=True, check=False
            )
        except FileNotFoundError as error:
            raise BoardError("adb is not installed here; install Android's platform tools") from error

    def _need(self, *words: str) -> None:
        done = self._adb(*words)
        if done.returncode != 0:
            last = (done.stderr or done.stdout).strip()[-300:]
            lost = "offline" in last or "closed" in last
            kind = ConnectionLostError if lost else BoardError
            raise kind(f"{self.name}: adb {words[0]} failed: {last or 'no message'}")

    def send(self, folder: Path, place: str) -> None:
        with tempfile.NamedTemporaryFile(suffix=".tar.gz") as packed:
            packed.write(_packed(folder))
            packed.flush()
            self._need("push", packed.name, f"{self.root}/{place}.tar.gz")
        where = f"{self.root}/{place}"
        self._need("shell", f"mkdir -p {where} && tar -xzf {where}.tar.gz -C {where}")

    def run(self, place: str, line: Callable[[str], None]) -> tuple[int, str]:
        done = self._adb("shell", f"cd {self.root}/{place} && python3 {PROGRAM} .")
        for text in done.stdout.splitlines():
            line(text)
        return done.returncode, done.stderr

    def fetch(self, place: str) -> bytes:
        with tempfile.TemporaryDirectory() as folder:
            self._need("pull", f"{self.root}/{place}/{board.RESULTS}", folder)
            return (Path(folder) / board.RESULTS).read_bytes()
