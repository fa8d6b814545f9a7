"""Tree-structured Parzen estimators (Ozaki et al. 2020), as Optuna has them."""

import optuna

from search.space.problem import Problem


def make(seed: int, problem: Problem) -> optuna.samplers.BaseSampler:
    """The sampler with its settings here."""
    return optuna.samplers.TPESampler(seed=seed, multivariate=True, constant_liar=True)
