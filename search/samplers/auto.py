"""A sampler made for the problem: latency is additive over blocks, and loss nearly so over options.

For every trial, the options' losses are sampled from the accuracy model, and the additive problem is solved
exactly at several latencies. Among these solutions and the neighbours of the front, the plan with the largest
expected improvement of the front is tried next; its latency is known, its accuracy predicted.

Options of the same block save more or less together than alone, and scoring a plan exactly takes some 20 ms.
So a candidate's latency is first estimated from a neighbouring plan, and scored only where it is promising.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, TrialState

from merges.rule import KEEP
from search.accuracy_model import AccuracyModel, GaussianProcess, one_thread
from search.pareto import expected_gains, pareto_front
from search.space.additive import OptionEstimate, least_loss, most_saved
from search.space.problem import Choices, Problem, changed

_LATENCIES = 6
_CAUTIOUS = 0.05  # draws are most often closer to the mean than chance has them: see `_solutions`
_LEAPS = 300  # neighbours of the front that differ at two sites
_AT_ONCE, _ROUNDS = 8, 6  # the best candidates, repaired and looked at again
_BEYOND = 0.9  # of the front's fastest plan: where faster ones are looked for
_NEIGHBOURS = 100  # drawn until one is new, each a change further away than the last

_Estimated = tuple[Choices, float]  # a plan and its latency (ms), as far as it is known


class AutoSampler(optuna.samplers.BaseSampler):
    """Proposes plans for two objectives, latency and accuracy.

    If the problem has further goals, every second proposal draws bounds for them, and improves the front
    among the plans within these bounds.
    """

    def __init__(self, problem: Problem, seed: int) -> None:
        self.problem = problem
        self.model = AccuracyModel(problem.estimates, problem.accuracy)
        self.most_saved_ms = most_saved(problem.estimates)
        self.slowest_ms = min(problem.baseline_ms, problem.slowest_ms or problem.baseline_ms)
        self.random = np.random.default_rng(seed)

    def infer_relative_search_space(
        self, study: optuna.Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        return self.problem.space

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        finished = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        pruned = study.get_trials(deepcopy=False, states=(TrialState.PRUNED,))
        running = study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        tried = [(t.params, t.values) for t in finished]
        plan = self.propose(tried, [t.params for t in pruned], [t.params for t in running])
        return {site: plan.get(site, KEEP) for site in self.problem.space}

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        return KEEP

    @one_thread
    def propose(
        self,
        tried: Sequence[tuple[Choices, Sequence[float]]],
        others: Sequence[Choices] = (),
        at_work: Sequence[Choices] = (),
    ) -> dict[str, str]:
        """The plan to try next.

        `tried` are plans with their latency (ms), accuracy (percent) and goals; `others` were not worth
        trying; `at_work` are being judged, and count with their predicted accuracy so that workers spread out
        (kriging believer; Ginsbourger et al. 2010).
        """
        tried = [(self.problem.repair(plan), values) for plan, values in tried]
        process = self.model.fitted([(plan, values[1]) for plan, values in tried])
        busy = _new(map(self._worked_out, at_work), [plan for plan, _ in tried])
        if busy:
            tried = [*tried, *((plan, self._expected(process, plan)) for plan, _ in busy)]
            process = self.model.fitted([(plan, values[1]) for plan, values in tried])
        known = [*(plan for plan, _ in tried), *map(self.problem.repair, others)]
        bounds = self._bounds([values[2:] for _, values in tried])
        within = {(v[0], v[1]): p for p, v in tried if bounds.hold(v[2:]) and self.problem.allowed(p)}
        leaders = pareto_front(within)
        front = [p for p in leaders if p[0] <= self.slowest_ms and p[1] >= self.problem.least_accuracy]
        beside = self._beside([(within[point], point[0]) for point in leaders])
        candidates = _new([*self._solutions(process), *beside], known)
        drawn_ms = self._latency_ms(front)
        slower = [(plan, latency_ms) for plan, latency_ms in candidates if latency_ms >= drawn_ms]
        found = (self._best(process, front, plans, known, bounds) for plans in (slower, candidates))
        return next(filter(None, found), None) or self._neighbour(known)

    def _latency_ms(self, front: Sequence[tuple[float, float]]) -> float:
        """What the next plan shall take at least, so that trials spread over the whole front.

        The fastest plans would get most of them: there many plans promise a little each.
        """
        fastest = min((latency_ms for latency_ms, _ in front), default=self.slowest_ms)
        return float(np.exp(self.random.uniform(np.log(_BEYOND * fastest), np.log(self.slowest_ms))))

    def _best(
        self,
        process: GaussianProcess,
        front: Sequence[tuple[float, float]],
        candidates: Sequence[_Estimated],
        known: Sequence[Choices],
        bounds: "_Bounds",
    ) -> dict[str, str] | None:
        """The plan with the largest expected gain; the most promising candidates are scored first."""
        estimates = self._gains(process, front, candidates)
        order = np.argsort(-estimates, kind="stable")
        best, most = None, 0.0
        for start in range(0, min(len(order), _AT_ONCE * _ROUNDS), _AT_ONCE):
            if estimates[order[start]] <= most:
                break
            repaired = [self.problem.repair(candidates[n][0]) for n in order[start : start + _AT_ONCE]]
            repaired = [plan for plan in repaired if self.problem.allowed(plan)]
            costs = [self.problem.known(plan) for plan in repaired]
            made = [(p, c[0]) for p, c in zip(repaired, costs, strict=True) if bounds.hold(c[1:])]
            fresh = _new(made, known)
            gains = self._gains(process, front, fresh)
            if gains.max(initial=0.0) > most:
                best, most = dict(fresh[int(gains.argmax())][0]), float(gains.max())
        return best

    def _expected(self, process: GaussianProcess, plan: Choices) -> tuple[float, ...]:
        """Latency, predicted accuracy and goals."""
        latency_ms, *goals = self.problem.known(plan)
        return latency_ms, self.model.predict(process, plan), *goals

    def _gains(
        self, process: GaussianProcess, front: Sequence[tuple[float, float]], plans: Sequence[_Estimated]
    ) -> np.ndarray:
        """Expected growth of the area that the front dominates, for each plan (ms times percent)."""
        losses, deviations = process.losses(self.model.rows([plan for plan, _ in plans]))
        latencies_ms = np.array([latency_ms for _, latency_ms in plans])
        gains = expected_gains(
            front,
            self.problem.baseline_ms,
            latencies_ms,
            losses,
            deviations,
            self.model.accuracy,
            self.problem.least_accuracy,
            self.problem.worth_from,
        )
        return np.where(latencies_ms <= self.slowest_ms, gains, 0.0)

    def _solutions(self, process: GaussianProcess) -> Iterator[_Estimated]:
        """The plans with the least loss at several latencies, for one sample of the losses.

        The solver picks options whose sample is low by luck; with the full spread, a plan of dozens of
        options would be made of luck.
        """
        losses = process.draw(self.random, float(np.exp(self.random.uniform(np.log(_CAUTIOUS), 0.0))))
        estimates: dict[str, dict[str, OptionEstimate]] = {site: {} for site in self.problem.estimates}
        for (site, option), loss in zip(self.model.items, losses, strict=True):
            if option != KEEP:
                estimates[site][option] = replace(self.problem.estimates[site][option], loss=float(loss))
        for fraction in (np.arange(_LATENCIES) + self.random.random()) / _LATENCIES:
            yield self._worked_out(least_loss(estimates, float(fraction) * self.most_saved_ms))

    def _worked_out(self, choices: Choices) -> _Estimated:
        """Repaired choices and their latency."""
        plan = self.problem.repair(choices)
        return plan, self.problem.known(plan)[0]

    def _beside(self, plans: Sequence[_Estimated]) -> Iterator[_Estimated]:
        """Plans that differ from one of these at one site, and some that differ at two."""
        for plan in plans:
            yield from (self._changed(plan, [item]) for item in self.model.items)
        for _ in range(_LEAPS if plans else 0):
            picked = self.random.integers(len(self.model.items), size=2)
            plan = plans[int(self.random.integers(len(plans)))]
            yield self._changed(plan, [self.model.items[n] for n in picked])

    def _changed(self, beside: _Estimated, items: Sequence[tuple[str, str]]) -> _Estimated:
        """A plan with other options at some sites, and its estimated latency."""
        plan, latency_ms = beside
        for site, option in dict(items).items():
            latency_ms += self.problem.saved_ms(site, plan.get(site, KEEP))
            latency_ms -= self.problem.saved_ms(site, option)
        return changed({**plan, **dict(items)}), latency_ms

    def _bounds(self, tried: Sequence[Sequence[float]]) -> "_Bounds":
        """Random bounds on the goals, within the range seen so far; none every second time."""
        if not any(len(goals) for goals in tried) or len(tried) % 2:
            return _Bounds(None)
        values = np.array(tried)
        return _Bounds(self.random.uniform(values.min(axis=0), values.max(axis=0)))

    def _neighbour(self, known: Sequence[Choices]) -> dict[str, str]:
        """A known plan changed at a few sites, for when nothing is promising."""
        plan = dict(known[int(self.random.integers(len(known)))]) if known else {}
        for _ in range(_NEIGHBOURS):
            site = str(self.random.choice(list(self.problem.space)))
            others = [o for o in self.problem.space[site].choices if o != plan.get(site, KEEP)]
            plan = self.problem.repair(plan | {site: str(self.random.choice(others))})
            if plan not in known and self.problem.allowed(plan):
                break
        return plan


def _new(plans: Iterable[_Estimated], known: Iterable[Choices]) -> list[_Estimated]:
    """The plans that are not known, without duplicates."""
    told = {frozenset(plan.items()) for plan in known}
    found = {frozenset(plan.items()): (plan, latency_ms) for plan, latency_ms in plans}
    return [estimated for key, estimated in found.items() if key not in told]


@dataclass(frozen=True)
class _Bounds:
    most: np.ndarray | None

    def hold(self, goals: Sequence[float]) -> bool:
        """Whether the goals are within the bounds."""
        return self.most is None or bool(np.all(np.asarray(goals) <= self.most))


def make(seed: int, problem: Problem) -> AutoSampler:
    """Make the sampler."""
    return AutoSampler(problem, seed)
