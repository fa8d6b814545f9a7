"""Android devices, by adb."""

import os
import selectors
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from latency_models import board
from latency_models.kit import PROGRAM, packed
from latency_models.remote.heard import (
    CHUNK,
    SILENCE_S,
    BoardError,
    ConnectionLostError,
    Errors,
    Heard,
    last_line,
    silent,
)


class Adb:
    """An Android device; it needs a python3 with the runtime (as Termux has)."""

    root = "/data/local/tmp"

    def __init__(self, serial: str) -> None:
        self.serial = serial
        self.name = f"device {serial}"

    def _adb(self, *words: str, out: Heard | None = None) -> tuple[int, str]:
        """Run adb; returns its exit code and its last error."""
        streams = out or Heard(self.name), Errors()
        try:
            done = subprocess.Popen(
                ["adb", "-s", self.serial, *words],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
        except FileNotFoundError as error:
            raise BoardError("adb is not installed here; install Android's platform tools") from error
        with done, selectors.DefaultSelector() as both:
            try:
                for pipe, stream in zip((done.stdout, done.stderr), streams, strict=True):
                    assert pipe is not None
                    both.register(pipe, selectors.EVENT_READ, stream)
                while both.get_map():
                    ready = both.select(SILENCE_S)
                    if not ready:
                        raise silent(self.name)
                    for key, _ in ready:
                        data = os.read(key.fd, CHUNK)
                        key.data.take(data)
                        if not data:
                            both.unregister(key.fileobj)
            except BaseException:
                done.kill()
                raise
        return done.returncode, streams[1].last or last_line(bytes(streams[0].content)) or "no message"

    def _need(self, *words: str, out: Heard | None = None) -> None:
        code, last = self._adb(*words, out=out)
        if code != 0:
            lost = "offline" in last or "closed" in last
            kind = ConnectionLostError if lost else BoardError
            raise kind(f"{self.name}: adb {words[0]} failed: {last}")

    def send(self, folder: Path, place: str) -> None:
        with tempfile.NamedTemporaryFile(suffix=".tar.gz") as archive:
            archive.write(packed(folder))
            archive.flush()
            self._need("push", archive.name, f"{self.root}/{place}.tar.gz")
        where = f"{self.root}/{place}"
        self._need("shell", f"mkdir -p {where} && tar -xzf {where}.tar.gz -C {where}")

    def run(self, place: str, line: Callable[[str], None]) -> tuple[int, str]:
        kit = f"cd {self.root}/{place} && python3 {PROGRAM} ."
        return self._adb("shell", kit, out=Heard(self.name, line))

    def fetch(self, place: str) -> bytes:
        out = Heard(self.name)
        self._need("exec-out", f"cat {self.root}/{place}/{board.RESULTS}", out=out)
        return bytes(out.content)
