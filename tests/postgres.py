"""A PostgreSQL server of the tests' own, where the distribution's packages are installed."""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path
from typing import Any


class Postgres:
    """A server in a temporary folder, on a free port of this machine."""

    def __init__(self, programs: Path) -> None:
        self.programs = programs
        self.home = Path(tempfile.mkdtemp(prefix="pg"))
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.user: dict[str, Any] = {}
        if os.geteuid() == 0:  # the server refuses to run as root
            owner = pwd.getpwnam("postgres")
            os.chown(self.home, owner.pw_uid, owner.pw_gid)
            self.user = {"user": owner.pw_uid, "group": owner.pw_gid, "cwd": self.home}
        self._run("initdb", "--auth=trust", "--username=tester", "--no-sync")
        self.start()

    @staticmethod
    def programs_here() -> Path | None:
        """The folder of the server's programs; None where it is not installed."""
        found = shutil.which("initdb")
        folders = [Path(found).parent] if found else sorted(Path("/usr/lib/postgresql").glob("*/bin"))
        return folders[-1] if folders else None

    @property
    def url(self) -> str:
        return f"postgresql+psycopg://tester@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        self._run(
            "pg_ctl", "start", "-w", "-o", f"-p {self.port} -k {self.home} -F", "-l", f"{self.home}/log"
        )

    def stop(self, how: str = "fast") -> None:
        self._run("pg_ctl", "stop", "-w", "-m", how)

    def remove(self) -> None:
        self.stop("immediate")
        shutil.rmtree(self.home)

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self.programs / program), "-D", str(self.home / "data"), *arguments]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, **self.user)
