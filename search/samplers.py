"""Samplers by name: our own for this problem, and Optuna's."""

import math
import random
from typing import Any

import optuna
from optuna.trial import TrialState

from search.auto import AutoSampler
from search.problem import Problem
from training.errors import BadInputError

SAMPLERS = ("auto", "nsga2", "tpe", "gp", "random", "grid")
_LARGEST_GRID = 100_000
_POPULATION = 24


def make_sampler(name: str, seed: int, problem: Problem) -> optuna.samplers.BaseSampler:
    """A sampler of plans; ``auto`` is what wins benchmarks/samplers.py.

    Raises
    ------
    BadInputError
        There is no such sampler, or the space is too large for it.
    """
    match name:
        case "auto":
            return AutoSampler(problem, seed)
        case "tpe":
            return optuna.samplers.TPESampler(seed=seed, multivariate=True, constant_liar=True)
        case "nsga2":
            return optuna.samplers.NSGAIISampler(seed=seed, population_size=_POPULATION)
        case "gp":
            return optuna.samplers.GPSampler(seed=seed)
        case "random":
            return optuna.samplers.RandomSampler(seed=seed)
        case "grid":
            return _grid(seed, problem.space)
    raise BadInputError(f"unknown sampler {name!r}; expected one of {', '.join(SAMPLERS)}")


def _grid(seed: int, space: dict[str, Any]) -> optuna.samplers.BaseSampler:
    plans = math.prod(len(options.choices) for options in space.values())
    if plans > _LARGEST_GRID:
        raise BadInputError(
            f"--sampler grid would try {plans:.1e} plans, at most {_LARGEST_GRID} are possible; "
            "name fewer sites with --only, or choose another sampler"
        )
    grid: dict[str, Any] = {site: list(options.choices) for site, options in space.items()}
    return optuna.samplers.GridSampler(grid, seed=seed)


def push(study: optuna.Study, space: dict[str, Any]) -> None:
    """Have a finished plan tried next with another option at one site.

    For samplers that propose the same plan again and again: Optuna's learn nothing from one that is refused.
    """
    trials = study.get_trials(deepcopy=False)
    finished = [trial.params for trial in trials if trial.state == TrialState.COMPLETE]
    chance = random.Random(len(trials))
    site = chance.choice(list(space))
    if finished:
        study.enqueue_trial(chance.choice(finished) | {site: chance.choice(space[site].choices)})
