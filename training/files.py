"""Atomic writes: a reader sees the old file or the new one, never half of it.

Temporary files are named after their process, so that those of killed ones can be told and swept.
"""

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

    Raises
    ------
    OSError
        `path` cannot be written; the error names it, not the temporary one.
    """
    prefix = f".{path.stem}.{_HOST}-{os.getpid()}-"
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=prefix, suffix=path.suffix)
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
