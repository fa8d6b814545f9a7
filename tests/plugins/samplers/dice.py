"""Plans drawn at random, by a sampler that leaves its mark on the study."""

import optuna

from search.space.problem import Problem


class Dice(optuna.samplers.RandomSampler):
    def before_trial(self, study: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
        study.set_user_attr("dice", "thrown")


def make(seed: int, problem: Problem) -> optuna.samplers.BaseSampler:
    """The sampler."""
    return Dice(seed=seed)
