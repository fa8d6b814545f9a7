"""Targets: device, runtime, threads and precision. One TOML file each, in ``targets/`` here or under home."""

import difflib
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import Field, TypeAdapter, ValidationError

TARGETS = Path(__file__).parent / "targets"
TABLES = Path(__file__).parent / "tables"
CALIBRATIONS = Path(__file__).parent / "calibrations"
KINDS = ("measured", "interpolated", "calibrated", "emulated")


class TargetError(ValueError):
    """No such target, or its file is not right; the message says what was expected."""


@dataclass(frozen=True)
class Target:
    """What a latency is for.

    `table` names the shipped table; empty where kernels are measured. `affinity` holds the cores that
    are measured on (all where empty). `calibration` is how ncnn's benchmark records name the board of a
    calibrated target, `powersave` which of its cores ran (0 all, 1 the small ones, 2 the big ones). `remote`
    is a board that is measured through a kit, `block` how many channels its convolutions take at once
    (onnxruntime; None: as on this machine).
    """

    name: str
    device: str
    runtime: str
    threads: Annotated[int, Field(ge=1, le=1024)]
    precision: str
    kind: str
    source: str
    table: str = ""
    affinity: tuple[int, ...] = ()
    calibration: str = ""
    powersave: int = 0
    remote: bool = False
    block: int | None = None

    @property
    def measurable(self) -> bool:
        """Whether kernels are timed on this machine when their time is not known yet."""
        return self.grows and not self.remote

    @property
    def grows(self) -> bool:
        """Whether its table is measured by the user (and not shipped)."""
        return not self.table and not self.calibration


def names(home: Path | None = None) -> list[str]:
    """All shipped targets, and those that were added under `home`."""
    return sorted(_files(home))


def _files(home: Path | None) -> dict[str, Path]:
    added = (home / "targets").glob("*.toml") if home else ()
    return {path.stem: path for path in (*added, *TARGETS.glob("*.toml"))}


def load(name: str, home: Path | None = None) -> Target:
    """A target by name.

    Raises
    ------
    TargetError
        There is no such target, or its file is not right.
    """
    files = _files(home)
    if name not in files:
        near = difflib.get_close_matches(name, files, 1)
        meant = f" (did you mean {near[0]}?)" if near else ""
        known = ", ".join(sorted(files))
        raise TargetError(
            f"unknown target {name!r}{meant}; expected one of {known} ('targets' describes them)"
        )
    try:
        values = tomllib.loads(files[name].read_text())
        Target(name=name, **values)  # refuses other fields
        return TypeAdapter(Target).validate_python({"name": name, **values})
    except ValidationError as error:
        first = error.errors()[0]
        reason = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
        raise TargetError(f"{files[name]} describes no target ({reason}); mend or remove it") from error
    except (ValueError, TypeError, OSError, RecursionError) as error:
        raise TargetError(f"{files[name]} describes no target ({error}); mend or remove it") from error
