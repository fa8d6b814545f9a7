"""Targets: device, runtime, threads and precision. One TOML file each, in ``targets/`` here or under home."""

import difflib
import tomllib
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import Field, TypeAdapter, ValidationError

TARGETS = Path(__file__).parent / "targets"
TABLES = Path(__file__).parent / "tables"
CALIBRATIONS = Path(__file__).parent / "calibrations"
Kind = Literal["measured", "interpolated", "emulated"]
KINDS: tuple[Kind, ...] = get_args(Kind)
COUNTED = ("ncnn", "onnxruntime")  # whose kernels were run under the emulator


class TargetError(ValueError):
    """No such target, or its file is not right; the message says what was expected."""


@dataclass(frozen=True)
class Target:
    """What a latency is for.

    `table` names the shipped table; empty where kernels are measured. `affinity` holds the cores that are
    measured on (all where empty). `core` and `clock_ghz` are of an emulated target, `board` its name in the
    records that its prices are fitted to. `remote` is a board that is measured through a kit, `block` how
    many channels its convolutions take at once (onnxruntime; None: as on this machine).
    """

    name: str
    device: str
    runtime: str
    threads: Annotated[int, Field(ge=1, le=1024, strict=True)]
    precision: Literal["fp32"]
    kind: Kind
    source: str
    table: str = ""
    affinity: tuple[int, ...] = ()
    core: str = ""
    clock_ghz: Annotated[float, Field(ge=0, le=100, strict=True, allow_inf_nan=False)] = 0.0
    board: str = ""
    remote: bool = False
    block: int | None = None

    @property
    def measurable(self) -> bool:
        """Whether kernels are timed on this machine when their time is not known yet."""
        return self.grows and not self.remote

    @property
    def grows(self) -> bool:
        """Whether its table is measured by the user (and not shipped)."""
        return not self.table and not self.core


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
        found = _target(name, tomllib.loads(files[name].read_text()))
        _check_core(found)
        return found
    except ValidationError as error:
        first = error.errors()[0]
        field, wrong = ".".join(map(str, first["loc"])), first["msg"].replace("Input should be", "expected")
        reason = f"{field} is {first['input']!r}; {wrong}"
        raise TargetError(f"{files[name]} describes no target ({reason}); mend or remove it") from error
    except (ValueError, OSError, RecursionError) as error:
        raise TargetError(f"{files[name]} describes no target ({error}); mend or remove it") from error


def _target(name: str, values: dict[str, Any]) -> Target:
    """A target from the fields of its file."""
    known = {field.name: field.default is MISSING for field in fields(Target) if field.name != "name"}
    for field in values:
        if field not in known:
            raise ValueError(f"unknown field {field!r}; expected {', '.join(known)}")
    for field, needed in known.items():
        if needed and field not in values:
            raise ValueError(f"{field} is missing")
    return TypeAdapter(Target).validate_python({"name": name, **values})


def _check_core(target: Target) -> None:
    """Refuse an emulated target whose prices are not known."""
    if (target.kind == "emulated") != bool(target.core):
        raise ValueError(
            f"kind is {target.kind!r} and core {target.core!r}; a core goes with kind 'emulated'"
        )
    if not target.core or (CALIBRATIONS / f"{target.name}.json").exists():
        return
    cores = sorted(path.stem for path in CALIBRATIONS.glob("cortex-*.json"))
    if target.core not in cores:
        raise ValueError(f"core is {target.core!r}; expected one of {', '.join(cores)}")
    if target.runtime not in COUNTED:
        raise ValueError(f"runtime is {target.runtime!r}; expected one of {', '.join(COUNTED)}")
    if target.clock_ghz == 0:
        raise ValueError(f"clock_ghz is missing or 0; expected that of the {target.core}, such as 1.8")
    if target.threads != 1:
        raise ValueError(f"threads is {target.threads}; without timings of a board only 1 is known")
