"""What a search knows before its first trial."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from merges.rule import KEEP
from search.space.additive import Estimates

Choices = Mapping[str, str]


def changed(plan: Choices) -> dict[str, str]:
    """A plan without the sites that it keeps."""
    return {site: option for site, option in plan.items() if option != KEEP}


@dataclass(frozen=True)
class Problem:
    """The plans of a network, and what is known of them.

    Attributes
    ----------
    space : by site its options, as Optuna's distribution
    estimates : by site and option the time saved and the prior loss, in any unit; others are rarely tried
    baseline_ms, accuracy : of the untouched network
    slowest_ms, least_accuracy : limits; plans outside count for nothing
    allowed : whether a repaired plan keeps the limits that are known before it is tried
    costs : what of a plan shall be small, known before it is tried: its latency (ms), then further goals;
        None where latencies add up and nothing else counts
    repair : what choices come to where some exclude each other, without the sites that are kept
    """

    space: dict[str, Any]
    estimates: Estimates
    baseline_ms: float
    accuracy: float
    slowest_ms: float | None = None
    least_accuracy: float = 0.0
    allowed: Callable[[Choices], bool] = lambda plan: True
    costs: Callable[[Choices], Sequence[float]] | None = None
    repair: Callable[[Choices], dict[str, str]] = changed

    def saved_ms(self, site: str, option: str) -> float:
        """What an option saves when it alone is chosen; others in its block may make it more or less."""
        worth = self.estimates[site].get(option)
        return worth.saved_ms if worth else 0.0

    def known(self, plan: Choices) -> Sequence[float]:
        """Latency (ms) and goals of a repaired plan."""
        if self.costs:
            return self.costs(plan)
        return [self.baseline_ms - sum(self.saved_ms(site, option) for site, option in plan.items())]
