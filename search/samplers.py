"""Samplers by name: our own for this problem, and Optuna's."""

import math
from typing import Any

import optuna
from optuna.distributions import CategoricalDistribution

from search.auto import AutoSampler, Goals, Repair, changed, no_goals
from search.knapsack import Worths
from training.errors import BadInputError

SAMPLERS = ("auto", "nsga2", "tpe", "gp", "random", "grid")
_LARGEST_GRID = 100_000
_POPULATION = 24


def make_sampler(
    name: str,
    seed: int,
    space: dict[str, CategoricalDistribution],
    worths: Worths,
    baseline_ms: float,
    accuracy: float,
    slowest_ms: float | None = None,
    least_accuracy: float = 0.0,
    goals: Goals = no_goals,
    repair: Repair = changed,
) -> optuna.samplers.BaseSampler:
    """A sampler for a space of plans; ``auto`` is what wins benchmarks/samplers.py.

    What follows `space` is as ``AutoSampler`` takes it; others do not look at it.

    Raises
    ------
    BadInputError
        There is no such sampler, or the space is too large for it.
    """
    match name:
        case "auto":
            limits = slowest_ms, least_accuracy
            return AutoSampler(space, worths, baseline_ms, accuracy, seed, *limits, goals, repair)
        case "tpe":
            return optuna.samplers.TPESampler(seed=seed, multivariate=True, constant_liar=True)
        case "nsga2":
            return optuna.samplers.NSGAIISampler(seed=seed, population_size=_POPULATION)
        case "gp":
            return optuna.samplers.GPSampler(seed=seed)
        case "random":
            return optuna.samplers.RandomSampler(seed=seed)
        case "grid":
            return _grid(seed, space)
    raise BadInputError(f"unknown sampler {name!r}; expected one of {', '.join(SAMPLERS)}")


def _grid(seed: int, space: dict[str, CategoricalDistribution]) -> optuna.samplers.BaseSampler:
    plans = math.prod(len(options.choices) for options in space.values())
    if plans > _LARGEST_GRID:
        raise BadInputError(
            f"--sampler grid would try {plans:.1e} plans, at most {_LARGEST_GRID} are possible; "
            "name fewer sites with --only, or choose another sampler"
        )
    grid: dict[str, Any] = {site: list(options.choices) for site, options in space.items()}
    return optuna.samplers.GridSampler(grid, seed=seed)
