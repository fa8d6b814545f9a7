"""Limits on plans: checked before a search begins, and before a plan is trained."""

import math
import re
from dataclasses import dataclass

from search.scoring.latency import Latencies, Score
from search.scoring.objectives import MORE, Goal, goals
from search.space.additive import Estimates
from search.space.problem import searched
from search.space.warm_start import ladder, least
from search.titles import readable
from training.errors import BadInputError
from training.progress import Progress

_MIB = 2**20
_LATENCY = re.compile(r"(?P<number>[0-9]+\.?[0-9]*) ?(?P<unit>ms|%)")


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
        if self.latency is None:
            return None
        found = _LATENCY.fullmatch(self.latency.strip())
        value = float(found["number"]) if found else 0.0
        if not found or not 0 < value < math.inf:
            raise BadInputError(f"`max_latency` is {self.latency!r}; expected milliseconds as 40ms, or 50%")
        return value if found["unit"] == "ms" else untouched_ms * value / 100

    def broken(self, score: Score, peak_bytes: int) -> str:
        """The limit that a plan exceeds, as known before training; empty if none."""
        slowest = self.latency_ms(score.baseline_ms)
        if slowest is not None and score.latency_ms > slowest:
            return f"latency {score.latency_ms:.2f} ms exceeds `max_latency` {self.latency}"
        if self.memory_mib is not None and peak_bytes > self.memory_mib * _MIB:
            return f"peak memory {peak_bytes / _MIB:.2f} MiB exceeds `max_memory` {self.memory_mib}"
        if self.parameters_m is not None and score.parameters > self.parameters_m * 1e6:
            return f"{score.parameters / 1e6:.2f} M parameters exceed `max_params` {self.parameters_m}"
        return ""


def reachable(
    latencies: Latencies, estimates: Estimates, exact: dict[str, str], limits: Limits, progress: Progress
) -> str:
    """The range that plans can reach, as a sentence; searched site by site, not proven.

    Raises
    ------
    BadInputError
        A limit is below what any plan was found to reach.
    """
    sites = searched(latencies.network)
    memory_mib, parameters_m = goals(MORE, latencies, ()).values()
    measures: dict[str, Goal] = {
        "latency": lambda choices: latencies.score(choices).latency_ms,
        "parameters_m": parameters_m,
        "memory_mib": memory_mib,
    }
    plans: list[dict[str, str]] = [{}, exact | next(ladder(estimates, 1))]
    for number, (field, measure) in enumerate(measures.items()):
        start = exact | min(plans, key=measure)
        plans.append(least(measure, sites, start, _part(progress, number, len(measures))))
        limit = Limits(**{field: getattr(limits, field)})
        reason = limit.broken(latencies.score(plans[-1]), latencies.peak_bytes(plans[-1]))
        if reason:
            raise BadInputError(f"no plan was found within the limits: at best, {reason}; widen the limit")
    ranges = [(min(values), max(values)) for values in (list(map(m, plans)) for m in measures.values())]
    latency, parameters, maps = (f"{readable(lowest)} to {readable(highest)}" for lowest, highest in ranges)
    return f"reachable: latency {latency} ms, parameters {parameters} M, maps {maps} MiB"


def _part(progress: Progress, number: int, parts: int) -> Progress:
    """Progress of one of several parts of equal length."""
    return lambda done, total: progress(number * total + done, parts * total)
