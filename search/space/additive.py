"""The additive problem: one option a site, no two that conflict, the least loss, enough time saved."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ortools.sat.python import cp_model
from ortools.sat.python.cp_model import LinearExpr

_NANOSECONDS = 1_000_000  # in a millisecond
_MILLIONTHS = 1_000_000


@dataclass(frozen=True)
class OptionEstimate:
    """What one option alone saves (milliseconds) and loses (any unit that adds up, not negative).

    `conflicts` holds options of other sites, as (site, option), that cannot be made where this one is.
    """

    saved_ms: float
    loss: float
    conflicts: frozenset[tuple[str, str]] = frozenset()


Estimates = Mapping[str, Mapping[str, OptionEstimate]]  # by site and option


def most_saved(estimates: Estimates) -> float:
    """Milliseconds that options can save all together."""
    problem = _Problem(estimates)
    problem.model.maximize(problem.saved)
    problem.solve()
    return problem.solver.objective_value / _NANOSECONDS


def least_loss(estimates: Estimates, saved_ms: float) -> dict[str, str]:
    """The options that together save `saved_ms` and lose least, at most one a site.

    A multiple-choice knapsack, solved exactly by constraint programming (in nanoseconds and millionths).
    Where so much cannot be saved, the most is.
    """
    problem = _Problem(estimates)
    problem.model.add(problem.saved >= round(saved_ms * _NANOSECONDS))
    problem.model.minimize(problem.loss)
    return problem.chosen() if problem.solve() else least_loss(estimates, most_saved(estimates))


class _Problem:
    """Which options are taken, and the sums of what they save and lose."""

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
        """Look for the best; False where there is no solution at all."""
        status = self.solver.solve(self.model)
        assert status in (cp_model.OPTIMAL, cp_model.INFEASIBLE), self.solver.status_name(status)
        return bool(status == cp_model.OPTIMAL)

    def chosen(self) -> dict[str, str]:
        """The options that the solution takes, by site."""
        return {site: option for (site, option), v in self.taken.items() if self.solver.value(v)}


def spread(count: int) -> Iterator[float]:
    """So many fractions from 1 down, each in the middle of the widest gap: 1, 1/2, 1/4, 3/4, 1/8, ...

    More of them begin with the fewer (van der Corput's sequence).
    """
    yield from (1.0,) * min(count, 1)
    for number in range(1, count):
        bits = f"{number:b}"
        yield sum(2.0**-place for place, bit in enumerate(reversed(bits), 1) if bit == "1")
