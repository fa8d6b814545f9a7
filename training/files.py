"""Atomic writes: a reader sees the old file or the new one, never half of it.

Temporary files are named after their process, so that those of killed ones can be told and swept.
"""

import errno
import hashlib
import json
import os
import platform
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from training.errors import BadInputError

_HOST = re.sub(r"\W", "", platform.node())
_TEMPORARY = re.compile(rf"\..*\.{_HOST}-(?P<pid>\d+)-\w{{8}}(\.\w+)?")


def sweep(folder: Path) -> None:
    """Remove temporary files, here and below, of processes of this machine that were killed."""
    for path in folder.rglob(".*"):
        found = _TEMPORARY.fullmatch(path.name)
        if found and not _runs(int(found["pid"])):
            path.unlink(missing_ok=True)


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # of another user
        return True
    return True


def digest(value: object) -> str:
    """A hash of a JSON value for file names: twelve hexadecimal digits."""
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:12]


def sqlite_url(path: Path) -> str:
    """The URL of a file as a database.

    Raises
    ------
    BadInputError
        Its name has a question mark, which would begin options in a URL.
    """
    if "?" in str(path):
        raise BadInputError(
            f"{path} cannot hold a database: URLs have no '?' in names; choose another `home`"
        )
    return f"sqlite:///{path.as_posix()}"


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside `path` that replaces it if the block succeeds.

    What is no file, such as /dev/stdout, is written to; of a link, what it leads to is replaced.

    Raises
    ------
    OSError
        `path` cannot be written; the error names it, not the temporary one.
    """
    if path.exists() and not path.is_file() and not path.is_dir():
        with tempfile.TemporaryDirectory() as folder:
            yield (temporary := Path(folder) / f"written{path.suffix}")
            path.write_bytes(temporary.read_bytes())
        return
    path = Path(os.path.realpath(path))
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, "is a folder, not a file", str(path))
    prefix = f".{path.stem}.{_HOST}-{os.getpid()}-"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=prefix, suffix=path.suffix)
    except FileExistsError as error:
        raise NotADirectoryError(errno.ENOTDIR, f"{error.filename} is not a folder", str(path)) from error
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o644)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
