"""Every plan there is."""

import math
from collections.abc import Sequence
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from search.space.problem import Problem
from training.errors import BadInputError

_LARGEST = 100_000


class _Grid(optuna.samplers.GridSampler):
    """Optuna's ends ``optimize`` after its last plan; whoever asks and tells notices by plans that repeat."""

    def after_trial(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        state: TrialState,
        values: Sequence[float] | None,
    ) -> None:
        """Go on."""


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
    return _Grid(grid, seed=seed)
