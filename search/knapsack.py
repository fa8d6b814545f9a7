"""The additive problem: one option a site, so that the harm is least and enough time is saved."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp


@dataclass(frozen=True)
class Worth:
    """What one option alone saves (milliseconds) and harms (any unit that adds up, not negative)."""

    saved_ms: float
    harm: float


def least_harm(worths: Mapping[str, Mapping[str, Worth]], saved_ms: float) -> dict[str, str]:
    """The options that together save `saved_ms` and harm least, at most one a site.

    A multiple-choice knapsack, solved exactly as a mixed-integer programme (HiGHS). Where so much cannot
    be saved, the most is.
    """
    items = [(site, option, worth) for site, found in worths.items() for option, worth in found.items()]
    if not items:
        return {}
    saved = np.array([worth.saved_ms for *_, worth in items])
    harm = np.array([worth.harm for *_, worth in items])
    sites = np.array([[site == item[0] for item in items] for site in worths], dtype=float)
    most = sum(max([0.0, *(w.saved_ms for w in found.values())]) for found in worths.values())
    needed = min(saved_ms, most) - 1e-9 * max(most, 1.0)
    solved = milp(
        harm,
        constraints=[LinearConstraint(sites, ub=1), LinearConstraint(saved[None], lb=needed)],
        integrality=np.ones(len(items)),
        bounds=Bounds(0, 1),
    )
    return {site: option for (site, option, _), taken in zip(items, solved.x, strict=True) if taken > 0.5}


def spread(count: int) -> Iterator[float]:
    """So many fractions from 1 down, each in the middle of the widest gap: 1, 1/2, 1/4, 3/4, 1/8, ...

    More of them begin with the fewer (van der Corput's sequence).
    """
    yield from (1.0,) * min(count, 1)
    for number in range(1, count):
        bits = f"{number:b}"
        yield sum(2.0**-place for place, bit in enumerate(reversed(bits), 1) if bit == "1")
