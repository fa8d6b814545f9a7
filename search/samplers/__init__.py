"""Samplers choose the next plan: one file each, found by name, with ``make(seed, problem)``.

To add samplers from another folder, append it to this package's ``__path__`` before the program starts.
"""

from __future__ import annotations

import importlib
import pkgutil
from typing import TYPE_CHECKING

from training.errors import BadInputError

if TYPE_CHECKING:  # help lists the samplers, and shall not wait for their libraries
    import optuna

    from search.space.problem import Problem

DEFAULT = "auto"  # the best in benchmarks/samplers.py


def names() -> tuple[str, ...]:
    """Every sampler, the default first."""
    found = (module.name for module in pkgutil.iter_modules(__path__))
    return tuple(sorted(found, key=lambda name: (name != DEFAULT, name)))


def make_sampler(name: str, seed: int, problem: Problem) -> optuna.samplers.BaseSampler:
    """A sampler of plans by name.

    Raises
    ------
    BadInputError
        There is no such sampler, or the space is too large for it.
    """
    if name not in names():
        raise BadInputError(f"unknown sampler {name!r}; expected one of {', '.join(names())}")
    made: optuna.samplers.BaseSampler = importlib.import_module(f"{__name__}.{name}").make(seed, problem)
    return made
