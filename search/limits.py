"""What a plan must not exceed: checked before a search begins, and before a plan is trained."""

from dataclasses import dataclass

from search.knapsack import Worths
from search.latency import Latencies, Progress, Score
from search.warmstart import fastest, ladder
from training.errors import BadInputError

_MIB = 2**20


@dataclass(frozen=True)
class Limits:
    """Upper bounds as the user gave them; None is no bound.

    Attributes
    ----------
    latency : as ``40ms``, or ``50%`` of the untouched network's
    drop : points of the accuracy that counts
    memory_mib : peak of all maps for one image, as float32
    parameters_m : millions of weights and biases
    """

    latency: str | None = None
    drop: float | None = None
    memory_mib: float | None = None
    parameters_m: float | None = None

    def latency_ms(self, untouched_ms: float) -> float | None:
        """The bound in milliseconds.

        Raises
        ------
        BadInputError
            It is no latency.
        """
        if self.latency is None:
            return None
        number, unit = self.latency.strip().removesuffix("ms").removesuffix("%"), self.latency.strip()[-1]
        try:
            value = float(number)
        except ValueError:
            value = -1.0
        if value <= 0 or unit not in "s%":
            raise BadInputError(f"--max-latency is {self.latency!r}; expected milliseconds as 40ms, or 50%")
        return value if unit == "s" else untouched_ms * value / 100

    def broken(self, score: Score, peak_bytes: int) -> str:
        """Which bound a plan exceeds, as far as is known before it is trained; empty where none."""
        slowest = self.latency_ms(score.baseline_ms)
        if slowest is not None and score.latency_ms > slowest:
            return f"{score.latency_ms:.2f} ms are more than --max-latency {self.latency}"
        if self.memory_mib is not None and peak_bytes > self.memory_mib * _MIB:
            return f"{peak_bytes / _MIB:.2f} MiB of maps are more than --max-memory {self.memory_mib}"
        if self.parameters_m is not None and score.parameters > self.parameters_m * 1e6:
            return f"{score.parameters / 1e6:.2f} M parameters are more than --max-params {self.parameters_m}"
        return ""


def reachable(
    latencies: Latencies, worths: Worths, exact: dict[str, str], limits: Limits, progress: Progress
) -> str:
    """What plans can reach, for people, from the untouched network to the fastest plan.

    Raises
    ------
    BadInputError
        Not even the fastest plan keeps the limits.
    """
    searched = [site for site in latencies.network.sites if not site.exact]
    quickest = fastest(latencies, searched, exact | next(ladder(worths, 1)), progress)
    scores = [latencies.score(choices) for choices in ({}, quickest)]
    peaks = [latencies.peak_bytes(choices) for choices in ({}, quickest)]
    reason = limits.broken(scores[1], peaks[1])
    if reason:
        raise BadInputError(f"no plan can keep the limits: with the fastest, {reason}; widen the limit")
    latency, parameters = ([s.latency_ms for s in scores], [s.parameters / 1e6 for s in scores])
    return (
        f"reachable: latency {latency[1]:.2f} to {latency[0]:.2f} ms, "
        f"parameters {parameters[1]:.2f} to {parameters[0]:.2f} M, "
        f"maps {peaks[1] / _MIB:.2f} to {peaks[0] / _MIB:.2f} MiB (fastest plan to untouched network)"
    )
