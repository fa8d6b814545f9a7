"""Boards behind SSH."""

import re
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from latency_models import board
from latency_models.kit import PROGRAM, packed
from latency_models.remote.heard import (
    CHUNK,
    SILENCE_S,
    AddressError,
    BoardError,
    ConnectionLostError,
    Errors,
    Heard,
    silent,
)

_TIMEOUT_S = 20.0
_POLL_S = 0.02


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

    def _do(self, command: str, out: Heard, content: bytes = b"") -> tuple[int, str]:
        import paramiko

        errors = Errors()
        with self._connect() as client:
            try:
                channel = client.get_transport().open_session(timeout=_TIMEOUT_S)
                channel.settimeout(SILENCE_S)
                channel.exec_command(command)
                channel.sendall(content)
                channel.shutdown_write()
                _hear(channel, out, errors)
                if not channel.status_event.wait(SILENCE_S):
                    raise TimeoutError
                code = channel.exit_status
            except TimeoutError as error:
                raise silent(self.name) from error
            except (paramiko.SSHException, OSError, EOFError) as error:
                raise ConnectionLostError(f"the connection to {self.name} broke: {error}") from error
        if code == -1:
            raise ConnectionLostError(f"the connection to {self.name} broke while the kit ran")
        return code, errors.last or "no message"

    def send(self, folder: Path, place: str) -> None:
        where = f"{self.root}/{place}"
        unpack = f"mkdir -p {where} && tar -xzf - -C {where}"
        code, last = self._do(unpack, Heard(self.name), packed(folder))
        if code != 0:
            raise BoardError(f"{self.name} cannot take the kit: {last}")

    def run(self, place: str, line: Callable[[str], None]) -> tuple[int, str]:
        return self._do(f"cd {self.root}/{place} && python3 {PROGRAM} .", Heard(self.name, line))

    def fetch(self, place: str) -> bytes:
        out = Heard(self.name)
        code, last = self._do(f"cat {self.root}/{place}/{board.RESULTS}", out)
        if code != 0:
            raise BoardError(f"{self.name} has no results: {last}")
        return bytes(out.content)


def _hear(channel, out: Heard, errors: Errors) -> None:  # type: ignore[no-untyped-def]
    """Take both streams as they come: one that nobody reads would stop the board.

    Raises
    ------
    TimeoutError
        The board is silent.
    """
    quiet_since = time.monotonic()
    while True:
        ended = channel.eof_received or channel.closed
        heard = False
        for ready, receive, stream in (
            (channel.recv_ready, channel.recv, out),
            (channel.recv_stderr_ready, channel.recv_stderr, errors),
        ):
            while ready():
                stream.take(receive(CHUNK))
                heard = True
        if heard:
            quiet_since = time.monotonic()
        elif ended:
            return
        elif time.monotonic() - quiet_since > SILENCE_S:
            raise TimeoutError
        else:
            time.sleep(_POLL_S)
