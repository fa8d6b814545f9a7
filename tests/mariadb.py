"""A MariaDB server of the tests' own, where the distribution's packages are installed."""

import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from sqlalchemy import create_engine
from sqlalchemy.exc import OperationalError

_PATIENCE_SECONDS = 60


class MariaDB:
    """A server in a temporary folder, that listens at a socket there."""

    def __init__(self) -> None:
        self.home = Path(tempfile.mkdtemp(prefix="my"))
        user = []
        if os.geteuid() == 0:  # the server refuses to run as root
            shutil.chown(self.home, "mysql", "mysql")
            user = ["--user=mysql"]
        data = f"--datadir={self.home / 'data'}"
        install = ["mariadb-install-db", "--no-defaults", "--auth-root-authentication-method=normal"]
        subprocess.run([*install, *user, data], check=True, stdout=subprocess.DEVNULL)
        listen = ["--skip-networking", f"--socket={self.home / 'socket'}"]
        log = f"--log-error={self.home / 'log'}"
        self.server = subprocess.Popen(["mariadbd", "--no-defaults", *user, data, *listen, log])
        self._wait()

    @staticmethod
    def is_here() -> bool:
        return all(map(shutil.which, ("mariadb-install-db", "mariadbd")))

    @property
    def url(self) -> str:
        return f"mysql+pymysql://root@localhost/test?unix_socket={self.home / 'socket'}"

    def remove(self) -> None:
        self.server.kill()
        self.server.wait()
        shutil.rmtree(self.home)

    def _wait(self) -> None:
        end = time.monotonic() + _PATIENCE_SECONDS
        while True:
            try:
                create_engine(self.url).connect().close()
                return
            except OperationalError:
                assert time.monotonic() < end, (self.home / "log").read_text()
                time.sleep(0.2)
