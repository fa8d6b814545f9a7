"""Targets: device, runtime, threads and precision. One TOML file each in ``targets/``."""

import tomllib
from dataclasses import dataclass
from pathlib import Path

TARGETS = Path(__file__).parent / "targets"
TABLES = Path(__file__).parent / "tables"
KINDS = ("measured", "interpolated", "calibrated", "emulated")


class TargetError(ValueError):
    """No such target, or its file is not right; the message says what was expected."""


@dataclass(frozen=True)
class Target:
    """What a latency is for.

    `table` names the shipped table; empty where kernels are measured. `affinity` holds the cores that
    are measured on (all where empty).
    """

    name: str
    device: str
    runtime: str
    threads: int
    precision: str
    kind: str
    source: str
    table: str = ""
    affinity: tuple[int, ...] = ()

    @property
    def measurable(self) -> bool:
        """Whether kernels are timed on this machine when their time is not known yet."""
        return not self.table


def names() -> list[str]:
    """All shipped targets."""
    return sorted(path.stem for path in TARGETS.glob("*.toml"))


def load(name: str) -> Target:
    """A target by name.

    Raises
    ------
    TargetError
        There is no such target.
    """
    if name not in names():
        raise TargetError(
            f"unknown target {name!r}; expected one of {', '.join(names())} ('cli.py targets' describes them)"
        )
    return Target(name=name, **tomllib.loads((TARGETS / f"{name}.toml").read_text()))
