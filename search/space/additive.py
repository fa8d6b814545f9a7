"""The additive problem: at most one option per site, no conflicts, the least loss for enough time saved."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ortools.sat.python import cp_model
from ortools.sat.python.cp_model import LinearExpr

_NANOSECONDS = 1_000_000  # in a millisecond
_MILLIONTHS = 1_000_000


@dataclass(frozen=True)
class OptionEstimate:
    """What one option alone saves (milliseconds) and loses (in any additive unit, at least 0).

    `conflicts` holds options of other sites, as (site, option), that this one rules out.
    """

    saved_ms: float
    loss: float
    conflicts: frozenset[tuple[str, str]] = frozenset()


Estimates = Mapping[str, Mapping[str, OptionEstimate]]  # by site and option


def most_saved(estimates: Estimates) -> float:
    """The most that all sites together can save, in milliseconds."""
    problem = _Problem(estimates)
    problem.model.maximize(problem.saved)
    problem.solve()
    return problem.solver.objective_value / _NANOSECONDS


def least_loss(estimates: Estimates, saved_ms: float) -> dict[str, str]:
    """The options that together save `saved_ms` at the least loss, at most one per site.

    A multiple-choice knapsack, solved exactly by constraint programming (in nanoseconds and millionths).
    If that much cannot be saved, the plan that saves most.
    """
    problem = _Problem(estimates)
    problem.model.add(problem.saved >= round(saved_ms * _NANOSECONDS))
    problem.model.minimize(problem.loss)
    return problem.chosen() if problem.solve() else least_loss(estimates, most_saved(estimates))


class _Problem:
    """The constraint program: which options are taken, with the sums of what they save and lose."""

    def __init__(self, estimates: Estimates) -> None:
        self.model = cp_model.CpModel()
        self.solver = cp_model.CpSolver()
        self.solver.parameters.num_workers = 1
        self.solver.parameters.catch_sigint_signal = False  # it would leave none to hear Ctrl-C
        self.solver.parameters.random_seed = 0
        worth = {
            (site, option): worth for site, found in estimates.items() for option, worth in found.items()
        }
        self.taken = {item: self.model.new_bool_var(" ".join(item)) for item in worth}
        for site, options in estimates.items():
            self.model.add_at_most_one(self.taken[site, option] for option in options)
        for item, found in worth.items():
            for other in sorted(found.conflicts & worth.keys()):
                self.model.add_at_most_one([self.taken[item], self.taken[other]])
        taken = list(self.taken.values())
        saved = [round(found.saved_ms * _NANOSECONDS) for found in worth.values()]
        losses = [round(found.loss * _MILLIONTHS) for found in worth.values()]
        self.saved, self.loss = LinearExpr.weighted_sum(taken, saved), LinearExpr.weighted_sum(taken, losses)

    def solve(self) -> bool:
        """Solve to optimality; False if there is no solution."""
        status = self.solver.solve(self.model)
        assert status in (cp_model.OPTIMAL, cp_model.INFEASIBLE), self.solver.status_name(status)
        return bool(status == cp_model.OPTIMAL)

    def chosen(self) -> dict[str, str]:
        """The options of the solution, by site."""
        return {site: option for (site, option), v in self.taken.items() if self.solver.value(v)}


def spread(count: int) -> Iterator[float]:
    """The first `count` of the fractions 1, 1/2, 1/4, 3/4, 1/8, ..., each in the middle of the widest gap.

    The sequence of van der Corput: a longer list starts with the shorter one.
    """
    yield from (1.0,) * min(count, 1)
    for number in range(1, count):
        bits = f"{number:b}"
        yield sum(2.0**-place for place, bit in enumerate(reversed(bits), 1) if bit == "1")
