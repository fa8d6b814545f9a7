"""The user's own objects, by ``package.module:name``."""

import importlib
import sys
from pathlib import Path
from typing import Any


def found(name: str) -> Any:
    """What a module defines; it may be in the current folder."""
    where, _, attribute = name.partition(":")
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    return getattr(importlib.import_module(where), attribute)


def made(name: str) -> Any:
    """Call a function without arguments."""
    return found(name)()
