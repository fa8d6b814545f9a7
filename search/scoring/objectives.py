"""Goals beside latency and accuracy: known before training, and minimised."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from search.titles import PARAMETERS
from training.errors import BadInputError

if TYPE_CHECKING:  # help lists the objectives, and shall not wait for torch
    from search.scoring.latency import Latencies

Goal = Callable[[Mapping[str, str] | None], float]  # of choices, or of the untouched network
ALWAYS = ("latency", "accuracy")
MORE = ("memory", "parameters")


def wanted(text: str) -> tuple[str, ...]:
    """The goals in the user's list, besides latency and accuracy.

    Raises
    ------
    BadInputError
        A name is unknown, or latency or accuracy is missing.
    """
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",")))
    if not set(ALWAYS) <= set(names) <= {*ALWAYS, *MORE}:
        raise BadInputError(
            f"`objectives` is {text!r}; expected {','.join(ALWAYS)}, and any of {','.join(MORE)} after them"
        )
    return tuple(name for name in names if name not in ALWAYS)


def goals(names: Iterable[str], latencies: Latencies, others: Iterable[Latencies]) -> dict[str, Goal]:
    """Functions of a plan's choices, by title with unit; for `others`, the latency there."""

    def memory(choices: Mapping[str, str] | None) -> float:
        return latencies.peak_bytes(choices) / 2**20

    def parameters(choices: Mapping[str, str] | None) -> float:
        return latencies.score(choices).parameters / 1e6

    def latency_on(other: Latencies) -> Goal:
        return lambda choices: other.score(choices).latency_ms

    known = {"memory": ("memory (MiB)", memory), "parameters": (PARAMETERS, parameters)}
    found: dict[str, Goal] = dict(known[name] for name in names)
    return found | {f"latency on {o.device.spec.name} (ms)": latency_on(o) for o in others}
