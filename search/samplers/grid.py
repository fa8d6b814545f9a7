"""Every plan there is."""

import math
from typing import Any

import optuna

from search.space.problem import Problem
from training.errors import BadInputError

_LARGEST = 100_000


def make(seed: int, problem: Problem) -> optuna.samplers.BaseSampler:
    """All plans in random order.

    Raises
    ------
    BadInputError
        There are too many.
    """
    plans = math.prod(len(options.choices) for options in problem.space.values())
    if plans > _LARGEST:
        raise BadInputError(
            f"`sampler` grid would try {plans:.1e} plans, at most {_LARGEST} are possible; "
            "name fewer sites with `only`, or choose another sampler"
        )
    grid: dict[str, Any] = {site: list(options.choices) for site, options in problem.space.items()}
    return optuna.samplers.GridSampler(grid, seed=seed)
