"""Optuna's tree-structured Parzen estimators (Ozaki et al. 2020)."""

import optuna

from search.space.problem import Problem


def make(seed: int, problem: Problem) -> optuna.samplers.BaseSampler:
    """Make the sampler."""
    return optuna.samplers.TPESampler(seed=seed, multivariate=True, constant_liar=True)
