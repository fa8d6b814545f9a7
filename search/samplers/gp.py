"""Optuna's Gaussian process, which knows nothing of the problem."""

import optuna

from search.space.problem import Problem


def make(seed: int, problem: Problem) -> optuna.samplers.BaseSampler:
    """The sampler with its settings here."""
    return optuna.samplers.GPSampler(seed=seed)
