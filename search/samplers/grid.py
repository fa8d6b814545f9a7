"""Tries every plan."""

import math
from collections.abc import Sequence
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from search.space.problem import Problem
from training.errors import BadInputError

_LARGEST = 100_000


class _Grid(optuna.samplers.GridSampler):
    """Optuna's grid stops ``optimize`` after its last plan; the driver notices the end by repeated plans."""

    def after_trial(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        state: TrialState,
        values: Sequence[float] | None,
    ) -> None:
        """Do not stop the study."""


def make(seed: int, problem: Problem) -> optuna.samplers.BaseSampler:
    """Make the sampler: all plans, in random order.

    Raises
    ------
    BadInputError
        There are too many plans.
    """
    plans = math.prod(len(options.choices) for options in problem.space.values())
    if plans > _LARGEST:
        raise BadInputError(
            f"`sampler` grid would try {plans:.1e} plans; at most {_LARGEST} are allowed: "
            "name fewer sites with `only`, or choose another sampler"
        )
    grid: dict[str, Any] = {site: list(options.choices) for site, options in problem.space.items()}
    return _Grid(grid, seed=seed)
