"""Limits on plans, as the user gives them."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from training.errors import BadInputError

if TYPE_CHECKING:  # a front is read, and a plan chosen, without torch
    from search.scoring.score import Score

MIB = 2**20
_LATENCY = re.compile(r"(?P<number>[0-9]+\.?[0-9]*) ?(?P<unit>ms|%)")


def latency_in_ms(text: str, untouched_ms: float) -> float:
    """A latency as users write it: ``40ms``, or ``50%`` of the untouched network's.

    Raises
    ------
    BadInputError
        It is not of this form.
    """
    found = _LATENCY.fullmatch(text.strip())
    value = float(found["number"]) if found else 0.0
    if not found or not 0 < value < math.inf:
        raise BadInputError(
            f"`max_latency` is {text!r}; expected milliseconds as 40ms, or 50% of the untouched network's"
        )
    return value if found["unit"] == "ms" else untouched_ms * value / 100


@dataclass(frozen=True)
class Limits:
    """Upper bounds as given by the user; None is no bound.

    Attributes
    ----------
    latency : ``40ms``, or ``50%`` of the untouched network's
    drop : points of the study's accuracy
    memory_mib : peak memory of the feature maps for one image, as float32
    parameters_m : millions of weights and biases
    """

    latency: str | None = None
    drop: float | None = None
    memory_mib: float | None = None
    parameters_m: float | None = None

    def __post_init__(self) -> None:
        """Refuse limits that are none.

        Raises
        ------
        BadInputError
            The latency is not of the form ``40ms`` or ``50%``, or another limit is no number of at least 0.
        """
        for field, value in (
            ("max_drop", self.drop),
            ("max_memory", self.memory_mib),
            ("max_params", self.parameters_m),
        ):
            if value is not None and not 0 <= value < math.inf:
                raise BadInputError(f"`{field}` is {value}; expected a number of at least 0")
        self.latency_ms(1.0)

    def latency_ms(self, untouched_ms: float) -> float | None:
        """The latency limit in milliseconds."""
        return None if self.latency is None else latency_in_ms(self.latency, untouched_ms)

    def broken(self, score: Score, peak_bytes: int) -> str:
        """The limit that a plan exceeds, as known before training; empty if none."""
        slowest = self.latency_ms(score.baseline_ms)
        if slowest is not None and score.latency_ms > slowest:
            return f"latency {score.latency_ms:.2f} ms exceeds `max_latency` {self.latency}"
        if self.memory_mib is not None and peak_bytes > self.memory_mib * MIB:
            return f"peak memory {peak_bytes / MIB:.2f} MiB exceeds `max_memory` {self.memory_mib}"
        if self.parameters_m is not None and score.parameters > self.parameters_m * 1e6:
            return f"{score.parameters / 1e6:.2f} M parameters exceed `max_params` {self.parameters_m}"
        return ""
