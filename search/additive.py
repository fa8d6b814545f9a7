"""A sampler that knows the problem: latency adds up, and harm nearly does.

What an option harms is learned from the finished trials by Bayesian regression: the logarithm of the
accuracy that a plan keeps is the sum of its options' harms, each with a prior mean in proportion to what is
known of it before any trial. For every trial harms are drawn from what is believed of them (Thompson 1933),
the additive problem is solved exactly at several latencies, and the plan that would add most to the front is
tried next.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, TrialState

from merges.rule import KEEP
from search.area import dominated
from search.knapsack import Worth, Worths, least_harm, most_saved

_LATENCIES = 6
_NEIGHBOURS = 100  # drawn until one is new, each a change further away than the last
_CAUTIOUS = 0.05
_DOUBT = 2.0  # standard deviation of an option's harm, in prior means
_NOISE, _SATURATION = 0.02, 0.3  # of a measured harm: its least error, and its error as a share of itself
_LARGEST_HARM = 4.0
_FIRST_SCALE, _LEAST_SCALE = 1.0, 1e-3
_LEAST_HARM = 1e-6

ENOUGH_PLANS = 10  # before anything that is predicted counts
Goals = Callable[[Mapping[str, str]], Sequence[float]]
Repair = Callable[[Mapping[str, str]], dict[str, str]]


@dataclass(frozen=True)
class Belief:
    """What is believed of the options' harms: a normal distribution over all of them."""

    mean: np.ndarray
    covariance: np.ndarray

    @classmethod
    def of(cls, prior: np.ndarray, chosen: np.ndarray, harms: np.ndarray) -> "Belief":
        """From prior means up to a common scale (options,), what was chosen (trials, options) and its harm.

        A trial weighs less the larger its harm: large harms saturate and do not add up.
        """
        weights = 1 / _noise(harms)
        expected = chosen @ prior
        power = float(expected @ expected)
        scale = max(float(expected @ harms) / power, _LEAST_SCALE) if power > 0 else _FIRST_SCALE
        precision = np.diag(1 / (_DOUBT * scale * prior) ** 2) + (chosen.T * weights) @ chosen
        covariance = np.linalg.inv(precision)
        mean = scale * prior + covariance @ (chosen.T @ (weights * (harms - chosen @ (scale * prior))))
        return cls(mean, covariance)

    def draw(self, random: np.random.Generator) -> np.ndarray:
        """Harms that could be true, most often closer to the mean than chance has them; none is negative.

        A plan takes dozens of options, and the solver picks those whose draw is low by luck: with the whole
        spread, every solution would be built of luck.
        """
        boldness = float(np.exp(random.uniform(np.log(_CAUTIOUS), 0.0)))
        drawn = random.multivariate_normal(self.mean, boldness**2 * self.covariance, method="cholesky")
        return np.maximum(drawn, 0.0)


class Surrogate:
    """Predicts the accuracy of plans from the worths of options and from tried plans."""

    def __init__(self, worths: Worths, accuracy: float) -> None:
        self.items = [(site, option) for site, found in worths.items() for option in found]
        self.prior = np.array([max(worths[s][o].harm, _LEAST_HARM) for s, o in self.items])
        self.accuracy = accuracy

    def chosen(self, plan: Mapping[str, str]) -> np.ndarray:
        """Which options a plan takes, as ones among zeros."""
        return np.array([plan.get(site) == option for site, option in self.items], dtype=float)

    def belief(self, tried: Sequence[tuple[Mapping[str, str], float]]) -> Belief:
        """What plans with their accuracies (percent) teach about harms."""
        chosen = np.array([self.chosen(plan) for plan, _ in tried]).reshape(len(tried), len(self.items))
        kept = np.clip([accuracy / self.accuracy for _, accuracy in tried], 1e-9, None)
        return Belief.of(self.prior, chosen, np.minimum(-np.log(kept), _LARGEST_HARM))

    def predict(self, belief: Belief, plan: Mapping[str, str]) -> float:
        """Accuracy to expect of a plan, in percent."""
        return self.accuracy * float(np.exp(-self.chosen(plan) @ belief.mean))

    def at_best(self, belief: Belief, plan: Mapping[str, str], deviations: float) -> float:
        """Accuracy of a plan that harms so many standard deviations less than expected, in percent."""
        chosen = self.chosen(plan)
        harm = chosen @ belief.mean
        variance = chosen @ belief.covariance @ chosen + _noise(harm)
        return self.accuracy * float(np.exp(-max(harm - deviations * variance**0.5, 0.0)))

    def left_out(self, tried: Sequence[tuple[Mapping[str, str], float]]) -> list[float]:
        """The accuracy that is predicted for every plan from all the others."""
        return [
            self.predict(self.belief([*tried[:n], *tried[n + 1 :]]), plan)
            for n, (plan, _) in enumerate(tried)
        ]


def _noise(harm: Any) -> Any:
    """Variance of measured harms about what their options add up to."""
    return _NOISE**2 + (_SATURATION * harm) ** 2


def no_goals(plan: Mapping[str, str]) -> Sequence[float]:
    """Nothing but latency and accuracy counts."""
    return ()


def changed(plan: Mapping[str, str]) -> dict[str, str]:
    """A plan without the sites that it keeps."""
    return {site: option for site, option in plan.items() if option != KEEP}


class AdditiveSampler(optuna.samplers.BaseSampler):
    """Proposes plans for two objectives, latency and accuracy.

    Parameters
    ----------
    space : Optuna's distributions, by site
    worths : by site and option the time saved and the prior harm, in any unit; others are rarely tried
    baseline_ms, accuracy : of the untouched network
    slowest_ms, least_accuracy : limits; plans outside count for nothing
    goals : what else of a plan shall be small, known before it is tried. For every second proposal bounds are
        drawn for them, and the front is improved among the plans within
    repair : what choices come to where some exclude each other, without the sites that are kept
    """

    def __init__(
        self,
        space: dict[str, Any],
        worths: Worths,
        baseline_ms: float,
        accuracy: float,
        seed: int,
        slowest_ms: float | None = None,
        least_accuracy: float = 0.0,
        goals: Goals = no_goals,
        repair: Repair = changed,
    ) -> None:
        self.space = space
        self.worths = worths
        self.surrogate = Surrogate(worths, accuracy)
        self.items = self.surrogate.items
        self.saved = np.array([worths[s][o].saved_ms for s, o in self.items])
        self.most_saved_ms = most_saved(worths)
        self.baseline_ms, self.accuracy = baseline_ms, accuracy
        self.slowest_ms = min(baseline_ms, slowest_ms or baseline_ms)
        self.least_accuracy = least_accuracy
        self.goals = goals
        self.repair = repair
        self.random = np.random.default_rng(seed)

    def infer_relative_search_space(
        self, study: optuna.Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        return self.space

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        finished = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        others = study.get_trials(deepcopy=False, states=(TrialState.RUNNING, TrialState.PRUNED))
        tried = [(t.params, t.values) for t in finished]
        plan = self.propose(tried, [t.params for t in others])
        return {site: plan.get(site, KEEP) for site in self.space}

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        return KEEP

    def propose(
        self,
        tried: Sequence[tuple[Mapping[str, str], Sequence[float]]],
        others: Sequence[Mapping[str, str]] = (),
    ) -> dict[str, str]:
        """The plan to try next.

        `tried` are plans with their latency (ms), accuracy (percent) and goals, `others` plans that are at
        work or were found to be the same as a tried one.
        """
        tried = [(self.repair(plan), values) for plan, values in tried]
        known = [*(plan for plan, _ in tried), *map(self.repair, others)]
        harm = self.surrogate.belief([(plan, values[1]) for plan, values in tried]).draw(self.random)
        bounds = self._bounds([values[2:] for _, values in tried])
        front = [(values[0], values[1]) for _, values in tried if bounds.hold(values[2:])]
        best, most = self._neighbour(known), self._area(front)
        for plan in map(self.repair, self._solutions(harm)):
            taken = self.surrogate.chosen(plan)
            point = self.baseline_ms - self.saved @ taken, self.accuracy * np.exp(-harm @ taken)
            area = self._area([*front, point])
            if plan not in known and area > most and bounds.hold(self.goals(plan)):
                best, most = plan, area
        return best

    def _solutions(self, harm: np.ndarray) -> Iterator[dict[str, str]]:
        """The plans that harm least at several latencies, would these harms be true."""
        worths: dict[str, dict[str, Worth]] = {site: {} for site in self.worths}
        for (site, option), harmed in zip(self.items, harm, strict=True):
            worths[site][option] = replace(self.worths[site][option], harm=float(harmed))
        for fraction in (np.arange(_LATENCIES) + self.random.random()) / _LATENCIES:
            yield least_harm(worths, float(fraction) * self.most_saved_ms)

    def _bounds(self, tried: Sequence[Sequence[float]]) -> "_Bounds":
        """Bounds of the goals between the least and the most that was seen; none every second time."""
        if not any(len(goals) for goals in tried) or len(tried) % 2:
            return _Bounds(None)
        values = np.array(tried)
        return _Bounds(self.random.uniform(values.min(axis=0), values.max(axis=0)))

    def _area(self, plans: Iterable[tuple[float, float]]) -> float:
        """What plans within the limits dominate."""
        within = [p for p in plans if p[0] <= self.slowest_ms and p[1] >= self.least_accuracy]
        return dominated(within, self.baseline_ms)

    def _neighbour(self, known: Sequence[Mapping[str, str]]) -> dict[str, str]:
        """A known plan with other choices at a few sites: to try where no solution promises more."""
        plan = dict(known[int(self.random.integers(len(known)))]) if known else {}
        for _ in range(_NEIGHBOURS):
            site = str(self.random.choice(list(self.space)))
            others = [o for o in self.space[site].choices if o != plan.get(site, KEEP)]
            plan = self.repair(plan | {site: str(self.random.choice(others))})
            if plan not in known:
                break
        return plan


@dataclass(frozen=True)
class _Bounds:
    most: np.ndarray | None

    def hold(self, goals: Sequence[float]) -> bool:
        """Whether goals keep the bounds."""
        return self.most is None or bool(np.all(np.asarray(goals) <= self.most))
