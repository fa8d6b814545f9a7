"""The additive problem: one option a site, so that the harm is least and enough time is saved."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ortools.sat.python import cp_model

_NANOSECONDS = 1_000_000  # in a millisecond
_MILLIONTHS = 1_000_000


@dataclass(frozen=True)
class Worth:
    """What one option alone saves (milliseconds) and harms (any unit that adds up, not negative)."""

    saved_ms: float
    harm: float


Worths = Mapping[str, Mapping[str, Worth]]  # by site and option


def most_saved(worths: Worths) -> float:
    """Milliseconds that the fastest option of every site saves, all together."""
    return sum(max([0.0, *(worth.saved_ms for worth in found.values())]) for found in worths.values())


def least_harm(worths: Worths, saved_ms: float) -> dict[str, str]:
    """The options that together save `saved_ms` and harm least, at most one a site.

    A multiple-choice knapsack, solved exactly by constraint programming (in nanoseconds and millionths).
    Where so much cannot be saved, the most is.
    """
    model = cp_model.CpModel()
    taken = {
        (site, option): model.new_bool_var(f"{site} {option}")
        for site, found in worths.items()
        for option in found
    }
    saved = {(s, o): round(worths[s][o].saved_ms * _NANOSECONDS) for s, o in taken}
    for site, found in worths.items():
        model.add_at_most_one(taken[site, option] for option in found)
    most = sum(max([0, *(saved[site, option] for option in found)]) for site, found in worths.items())
    needed = min(round(saved_ms * _NANOSECONDS), most)
    model.add(sum(saved[item] * variable for item, variable in taken.items()) >= needed)
    model.minimize(sum(round(worths[s][o].harm * _MILLIONTHS) * v for (s, o), v in taken.items()))
    solver = cp_model.CpSolver()
    solver.parameters.num_workers = 1
    solver.parameters.random_seed = 0
    status = solver.solve(model)
    assert status == cp_model.OPTIMAL, solver.status_name(status)
    return {site: option for (site, option), variable in taken.items() if solver.value(variable)}


def spread(count: int) -> Iterator[float]:
    """So many fractions from 1 down, each in the middle of the widest gap: 1, 1/2, 1/4, 3/4, 1/8, ...

    More of them begin with the fewer (van der Corput's sequence).
    """
    yield from (1.0,) * min(count, 1)
    for number in range(1, count):
        bits = f"{number:b}"
        yield sum(2.0**-place for place, bit in enumerate(reversed(bits), 1) if bit == "1")
