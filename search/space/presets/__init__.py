"""Hand-made plans by name: TOML files in this folder, each plan a list of steps that add up."""

from __future__ import annotations

import tomllib
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

from training.errors import BadInputError

if TYPE_CHECKING:  # help lists the presets, and shall not wait for torch
    from merges.network import Network

_FOLDER = Path(__file__).parent
_TITLE = "step"
EXACT = "exact"  # not a file: the exact merges that pay on a target


def steps(name: str, network: str) -> list[dict[str, Any]]:
    """The steps of a preset for a network: each has a title (``step``) and options by site pattern.

    Raises
    ------
    BadInputError
        There is no such preset, or it is not made for this network.
    """
    if name not in names():
        raise BadInputError(f"unknown preset {name!r}; expected {', '.join(names())} or exact")
    plans = tomllib.loads((_FOLDER / f"{name}.toml").read_text())
    if network not in plans:
        raise BadInputError(
            f"preset {name!r} is made for {', '.join(plans)}, not for {network!r}; use 'search'"
        )
    return list(plans[network])


def preset(name: str, network: Network, partly: bool = False) -> dict[str, str]:
    """The choices of a preset; ``name:N`` takes the first N steps, `partly` leaves out what is not offered.

    Raises
    ------
    BadInputError
        There is no such preset or step, it is not made for this network, or a pattern names no site.
    """
    base, _, count = name.partition(":")
    found = steps(base, network.name)
    if count and (not count.isdecimal() or not 1 <= int(count) <= len(found)):
        titles = ", ".join(f"{i} ({step[_TITLE]})" for i, step in enumerate(found, 1))
        raise BadInputError(f"preset {base!r} has no step {count!r} for {network.name}; expected {titles}")
    chosen: dict[str, str] = {}
    for step in found[: int(count) if count else None]:
        for pattern, option in step.items():
            sites = [site for site in network.sites if fnmatchcase(site.id, pattern)]
            if not (sites or partly or pattern == _TITLE):
                raise BadInputError(f"preset {base!r}: {network.name} has no site {pattern!r}")
            chosen |= {site.id: option for site in sites if not partly or option in site.names}
    return chosen


def names() -> list[str]:
    """The names of all presets."""
    return sorted(path.stem for path in _FOLDER.glob("*.toml"))


def known() -> list[tuple[str, str]]:
    """Every preset, paired with every network it is made for."""
    files = sorted(_FOLDER.glob("*.toml"))
    return [(path.stem, network) for path in files for network in tomllib.loads(path.read_text())]
