"""What a board prints, which is not trusted: bounded, and without control characters."""

from collections.abc import Callable

from latency_models.text import plain

_LONGEST_LINE = 2**16
_MOST_BYTES = 2**26
CHUNK = 2**16
SILENCE_S = 900.0  # the largest group of kernels takes minutes on a slow board


class BoardError(RuntimeError):
    """A board cannot be reached or cannot run a kit; the message says what to do."""


class AddressError(ValueError):
    """A text is no address of a board; the message says what was expected."""


class ConnectionLostError(BoardError):
    """The connection broke; another attempt may go on."""


class Heard:
    """One stream of a board: `line` gets every whole line as it comes, `content` is all of it."""

    def __init__(self, name: str, line: Callable[[str], object] = lambda text: None) -> None:
        self.name = name
        self.line = line
        self.content = bytearray()
        self.told = 0

    def take(self, data: bytes) -> None:
        """Take what came.

        Raises
        ------
        BoardError
            A line or the whole is longer than any kit's.
        """
        self.content += data
        if len(self.content) > _MOST_BYTES:
            raise BoardError(
                f"{self.name} sends more than {_MOST_BYTES >> 20} MiB; is it a kit that answers?"
            )
        *whole, rest = self.content[self.told :].split(b"\n")
        if len(rest) > _LONGEST_LINE:
            raise BoardError(f"{self.name} sends a line without end; is this a kit?")
        for text in whole:
            self.told += len(text) + 1
            self.line(plain(text.decode(errors="replace")))


class Errors:
    """What a board prints to standard error: however much it is, its end is kept."""

    def __init__(self) -> None:
        self.end = b""

    def take(self, data: bytes) -> None:
        """Take what came."""
        self.end = (self.end + data)[-_LONGEST_LINE:]

    @property
    def last(self) -> str:
        """The last line, shortened, for a message; empty if there is none."""
        return last_line(self.end)


def last_line(data: bytes) -> str:
    """The last line of what a board printed, shortened, for a message; empty if there is none."""
    lines = plain(data[-_LONGEST_LINE:].decode(errors="replace")).strip().splitlines()
    return lines[-1][:300] if lines else ""


def silent(name: str) -> BoardError:
    """The error of a board that has said nothing for too long."""
    return BoardError(f"{name} has said nothing for {SILENCE_S:.0f} s")
