"""A sampler that knows the problem: latency adds up over blocks, and so, nearly, does loss over options.

For every trial losses of the options are drawn from what is believed of them, and the additive problem is
solved exactly at several latencies. Of these solutions and the neighbours of the front, that plan is tried
next which is expected to add most to the front: its latency is known, its accuracy believed.

Options of the same block save more or less together than each alone, and to work out what they come to takes
some 20 ms. So a candidate's latency is first estimated from that of the plan beside it, and worked out where
the estimate promises most.
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
_NEIGHBOURS = 100  # drawn until one is new, each a change further away than the last

_Estimated = tuple[Choices, float]  # a plan and its latency (ms), as far as it is known


class AutoSampler(optuna.samplers.BaseSampler):
    """Proposes plans for two objectives, latency and accuracy.

    Where the problem has further goals, bounds are drawn for them for every second proposal, and the front is
    improved among the plans within.
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

        `tried` are plans with their latency (ms), accuracy (percent) and goals, `others` plans that were not
        worth trying, `at_work` plans that other workers try just now: they count with the accuracy that is
        expected of them (kriging believer; Ginsbourger and others 2010), so that workers spread out.
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
        return self._best(process, front, candidates, known, bounds) or self._neighbour(known)

    def _best(
        self,
        process: GaussianProcess,
        front: Sequence[tuple[float, float]],
        candidates: Sequence[_Estimated],
        known: Sequence[Choices],
        bounds: "_Bounds",
    ) -> dict[str, str] | None:
        """The plan that may be expected to add most, those whose estimate promises most worked out first."""
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
        """Latency, accuracy and goals."""
        latency_ms, *goals = self.problem.known(plan)
        return latency_ms, self.model.predict(process, plan), *goals

    def _gains(
        self, process: GaussianProcess, front: Sequence[tuple[float, float]], plans: Sequence[_Estimated]
    ) -> np.ndarray:
        """What every plan may be expected to add to the area below the front, in ms times percent."""
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
        )
        return np.where(latencies_ms <= self.slowest_ms, gains, 0.0)

    def _solutions(self, process: GaussianProcess) -> Iterator[_Estimated]:
        """The plans that would lose least at several latencies if the drawn losses were true.

        A plan takes dozens of options, and the solver picks those whose draw is low by luck: with the whole
        spread, every solution would be built of luck.
        """
        losses = process.draw(self.random, float(np.exp(self.random.uniform(np.log(_CAUTIOUS), 0.0))))
        estimates: dict[str, dict[str, OptionEstimate]] = {site: {} for site in self.problem.estimates}
        for (site, option), loss in zip(self.model.items, losses, strict=True):
            if option != KEEP:
                estimates[site][option] = replace(self.problem.estimates[site][option], loss=float(loss))
        for fraction in (np.arange(_LATENCIES) + self.random.random()) / _LATENCIES:
            yield self._worked_out(least_loss(estimates, float(fraction) * self.most_saved_ms))

    def _worked_out(self, choices: Choices) -> _Estimated:
        """What choices come to, and its latency."""
        plan = self.problem.repair(choices)
        return plan, self.problem.known(plan)[0]

    def _beside(self, plans: Sequence[_Estimated]) -> Iterator[_Estimated]:
        """Plans that differ from one of these at a site, and some that differ at two."""
        for plan in plans:
            yield from (self._changed(plan, [item]) for item in self.model.items)
        for _ in range(_LEAPS if plans else 0):
            picked = self.random.integers(len(self.model.items), size=2)
            plan = plans[int(self.random.integers(len(plans)))]
            yield self._changed(plan, [self.model.items[n] for n in picked])

    def _changed(self, beside: _Estimated, items: Sequence[tuple[str, str]]) -> _Estimated:
        """A plan with other options at some sites, and the latency to expect of it."""
        plan, latency_ms = beside
        for site, option in dict(items).items():
            latency_ms += self.problem.saved_ms(site, plan.get(site, KEEP))
            latency_ms -= self.problem.saved_ms(site, option)
        return changed({**plan, **dict(items)}), latency_ms

    def _bounds(self, tried: Sequence[Sequence[float]]) -> "_Bounds":
        """Bounds of the goals between the least and the most that was seen; none every second time."""
        if not any(len(goals) for goals in tried) or len(tried) % 2:
            return _Bounds(None)
        values = np.array(tried)
        return _Bounds(self.random.uniform(values.min(axis=0), values.max(axis=0)))

    def _neighbour(self, known: Sequence[Choices]) -> dict[str, str]:
        """A known plan with other choices at a few sites: to try where nothing promises more."""
        plan = dict(known[int(self.random.integers(len(known)))]) if known else {}
        for _ in range(_NEIGHBOURS):
            site = str(self.random.choice(list(self.problem.space)))
            others = [o for o in self.problem.space[site].choices if o != plan.get(site, KEEP)]
            plan = self.problem.repair(plan | {site: str(self.random.choice(others))})
            if plan not in known and self.problem.allowed(plan):
                break
        return plan


def _new(plans: Iterable[_Estimated], known: Iterable[Choices]) -> list[_Estimated]:
    """Every plan once that is not known."""
    told = {frozenset(plan.items()) for plan in known}
    found = {frozenset(plan.items()): (plan, latency_ms) for plan, latency_ms in plans}
    return [estimated for key, estimated in found.items() if key not in told]


@dataclass(frozen=True)
class _Bounds:
    most: np.ndarray | None

    def hold(self, goals: Sequence[float]) -> bool:
        """Whether goals keep the bounds."""
        return self.most is None or bool(np.all(np.asarray(goals) <= self.most))


def make(seed: int, problem: Problem) -> AutoSampler:
    """The sampler for a problem."""
    return AutoSampler(problem, seed)
