"""Objects of the user's own, by ``package.module:name``."""

import importlib
import sys
from pathlib import Path
from typing import Any


def made(name: str) -> Any:
    """What a function without arguments returns; modules of the current folder can be named too."""
    where, _, attribute = name.partition(":")
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    return getattr(importlib.import_module(where), attribute)()
