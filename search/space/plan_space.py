"""The plans of one network on one device. Only this module adds exact merges to plans."""

from collections.abc import Callable, Iterator, Mapping
from functools import cached_property

from optuna.distributions import CategoricalDistribution

from merges.network import Network
from merges.plan import Plan
from merges.rule import KEEP
from search.scoring.latency import Latencies
from search.scoring.objectives import Goal
from search.scoring.score import Score
from search.space.additive import Estimates
from search.space.bounds import reachable
from search.space.estimates import weigh
from search.space.limits import Limits
from search.space.problem import Problem, changed, searched
from search.space.warm_start import first_plans, lossless
from training.progress import Progress

# Of the untouched accuracy, before training: plans that keep less lose several percent after it as well
# (docs/results.md), and are not what is chosen.
WORTH = 0.75


class PlanSpace:
    """The search space: one categorical parameter per learned site, with what is known before any trial.

    Exact options are not searched: they change no answer, so latency alone decides, and every plan makes
    those that save time.

    Attributes
    ----------
    latencies : scores plans on the device
    goals : objectives beside latency and accuracy, by title
    estimates : what each option alone saves and may lose, by site and option
    """

    def __init__(
        self,
        latencies: Latencies,
        progress: Progress,
        goals: Mapping[str, Goal] | None = None,
        losses: Mapping[str, Mapping[str, float]] | None = None,
    ) -> None:
        """`losses` are known losses by site and option, in an additive unit; None to guess them."""
        self.latencies = latencies
        self.goals = goals or {}
        self.estimates: Estimates = weigh(latencies, losses, progress)
        self._plans: dict[frozenset[tuple[str, str]], Plan] = {}

    @property
    def network(self) -> Network:
        return self.latencies.network

    @cached_property
    def exact(self) -> dict[str, str]:
        """The exact choices that save time on the device."""
        return lossless(self.latencies)

    @cached_property
    def parameters(self) -> dict[str, CategoricalDistribution]:
        """The options of every site, as Optuna's distributions."""
        return {site.id: CategoricalDistribution(site.names) for site in searched(self.network)}

    def params(self, choices: Mapping[str, str]) -> dict[str, str]:
        """A value for every parameter; sites without a choice are kept."""
        return {site: choices.get(site, KEEP) for site in self.parameters}

    def plan(self, params: Mapping[str, str]) -> Plan:
        """The canonical plan of a trial's parameters; conflicts are repaired in order."""
        whole = self._whole(params)
        key = frozenset(changed(whole).items())
        if key not in self._plans:
            self._plans[key] = Plan.make(self.network, whole)
        return self._plans[key]

    def remember(self, params: Mapping[str, str], plan: Mapping[str, str]) -> None:
        """Take over the plan of earlier parameters: to make it again takes a while."""
        key = frozenset(changed(self._whole(params)).items())
        self._plans[key] = Plan(self.network.fingerprint, tuple(plan.items()))

    def _whole(self, choices: Mapping[str, str]) -> dict[str, str]:
        return {**self.exact, **choices}

    def score(self, plan: Mapping[str, str]) -> Score:
        """Latency, MACs and parameters."""
        return self.latencies.score(plan)

    def costs(self, plan: Mapping[str, str]) -> list[float]:
        """A plan's objectives that are known without training: latency (ms), then goals."""
        return [self.score(plan).latency_ms, *(goal(plan) for goal in self.goals.values())]

    def first_plans(self) -> Iterator[tuple[str, dict[str, str]]]:
        """Plans to try before the sampler's, each with the name of its preset (empty for none)."""
        return first_plans(self.latencies, self.estimates)

    def reachable(self, limits: Limits, progress: Progress) -> str:
        """The range that plans can reach: see ``bounds.reachable``."""
        return reachable(self.latencies, self.estimates, self.exact, limits, progress)

    def problem(self, accuracy: float, limits: Limits) -> Problem:
        """The problem for a sampler; `accuracy` is the untouched network's (percent)."""

        def repaired(choices: Mapping[str, str]) -> dict[str, str]:
            return {site: option for site, option in self.plan(choices).items() if site not in self.exact}

        return Problem(
            self.parameters,
            self.estimates,
            baseline_ms=self.score(self.exact).latency_ms,
            accuracy=accuracy,
            slowest_ms=limits.latency_ms(self.latencies.baseline.latency_ms),
            least_accuracy=0.0 if limits.drop is None else accuracy - limits.drop,
            worth_from=WORTH * accuracy if limits.drop is None else accuracy - 2 * limits.drop,
            allowed=self._allowed(limits),
            costs=lambda choices: self.costs(self._whole(choices)),
            repair=repaired,
        )

    def _allowed(self, limits: Limits) -> Callable[[Mapping[str, str]], bool]:
        if limits.latency is limits.memory_mib is limits.parameters_m is None:
            return lambda choices: True

        def allowed(choices: Mapping[str, str]) -> bool:
            plan = self._whole(choices)
            peak_bytes = self.latencies.peak_bytes(plan) if limits.memory_mib is not None else 0
            return not limits.broken(self.score(plan), peak_bytes)

        return allowed
