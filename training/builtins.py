"""The names of the built-in networks."""

import pkgutil
from pathlib import Path

_FOLDER = Path(__file__).parent / "models" / "networks"


def builtins() -> list[str]:
    """Names of the built-in networks; without importing them, as help lists them."""
    return [module.name for module in pkgutil.iter_modules([str(_FOLDER)])]
