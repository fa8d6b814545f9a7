"""Optuna's NSGA-II, a genetic algorithm (Deb et al. 2002)."""

import optuna

from search.space.problem import Problem

_POPULATION = 24


def make(seed: int, problem: Problem) -> optuna.samplers.BaseSampler:
    """Make the sampler."""
    return optuna.samplers.NSGAIISampler(seed=seed, population_size=_POPULATION)
