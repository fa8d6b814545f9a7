"""Optuna's general Gaussian process sampler."""

import optuna

from search.space.problem import Problem


def make(seed: int, problem: Problem) -> optuna.samplers.BaseSampler:
    """Make the sampler."""
    return optuna.samplers.GPSampler(seed=seed)
