"""How one kernel is timed: what every runtime makes of it in its own file."""

from __future__ import annotations

from typing import Any


class Timed:
    """One kernel, ready to run.

    The source of a runtime's subclass is sent to boards, alone: it runs with Python 3.8, and imports what it
    needs inside its methods. `LOOKS` is how often it looks at nothing, to know what looking costs.
    """

    LOOKS = 20

    def __init__(self, folder: str, entry: dict, threads: int) -> None:
        """`folder` is a kit, `entry` the kernel's part of its manifest (see ``kit.py``)."""
        raise NotImplementedError

    def run(self) -> None:
        raise NotImplementedError

    def samples_us(self) -> list[float]:
        """The kernel's own time in every run so far; ends its use."""
        raise NotImplementedError

    @staticmethod
    def version() -> str:
        """Version of the library on the machine that measures."""
        return ""

    @classmethod
    def findings(cls, folder: str, probes: dict[str, str]) -> dict[str, Any]:
        """What else it finds out about the machine, from the kit's probes (file names by their keys)."""
        return {}
