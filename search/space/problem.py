"""The problem that samplers solve."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from merges.network import Network
from merges.rule import KEEP, Site
from search.space.additive import Estimates

Choices = Mapping[str, str]


def searched(network: Network) -> list[Site]:
    """The sites whose options change answers; for exact ones, latency alone decides."""
    return [site for site in network.sites if not site.exact]


def changed(plan: Choices) -> dict[str, str]:
    """A plan's choices without the sites that it keeps."""
    return {site: option for site, option in plan.items() if option != KEEP}


@dataclass(frozen=True)
class Problem:
    """The plans of a network, and what is known about them before any trial.

    Attributes
    ----------
    space : each site's options, as Optuna's distribution
    estimates : time saved and prior loss by site and option; options without one are rarely tried
    baseline_ms, accuracy : of the untouched network
    slowest_ms, least_accuracy : limits; plans beyond them count for nothing
    worth_from : accuracy above which a front's area is counted: how much a faster plan may lose
    allowed : whether a repaired plan keeps the limits that can be checked without training
    costs : a plan's minimised objectives: its latency (ms), then further goals; None if latencies add up and
        there are no goals
    repair : resolves choices that exclude each other; leaves out kept sites
    """

    space: dict[str, Any]
    estimates: Estimates
    baseline_ms: float
    accuracy: float
    slowest_ms: float | None = None
    least_accuracy: float = 0.0
    worth_from: float = 0.0
    allowed: Callable[[Choices], bool] = lambda plan: True
    costs: Callable[[Choices], Sequence[float]] | None = None
    repair: Callable[[Choices], dict[str, str]] = changed

    def saved_ms(self, site: str, option: str) -> float:
        """What an option alone saves; together with others in its block it may save more or less."""
        worth = self.estimates[site].get(option)
        return worth.saved_ms if worth else 0.0

    def known(self, plan: Choices) -> Sequence[float]:
        """Latency (ms) and goals of a repaired plan."""
        if self.costs:
            return self.costs(plan)
        return [self.baseline_ms - sum(self.saved_ms(site, option) for site, option in plan.items())]
