"""Whether a plan can still reach the front, as far as the finished trials tell."""

from collections.abc import Mapping, Sequence

from optuna.trial import FrozenTrial

from search.accuracy_model import ENOUGH_PLANS, AccuracyModel
from search.evaluation.evaluator import Evaluator
from search.pareto import costs_of, no_more

_DEVIATIONS = 2.0


def prune_reason(trials: Sequence[FrozenTrial], evaluator: Evaluator, choices: Mapping[str, str]) -> str:
    """Why a plan is not worth training; empty where it may reach the front, or too little is known.

    It is not where even two standard deviations more than the model expects are less than what a plan
    that costs no more has reached.
    """
    costs = evaluator.costs(choices)
    rivals = [trial for trial in trials if no_more(costs_of(trial.values), costs)]
    if len(trials) < ENOUGH_PLANS or not rivals:
        return ""
    best = max(rivals, key=lambda trial: trial.values[1])
    model = AccuracyModel(evaluator.estimates, evaluator.untouched())
    process = model.fitted([(trial.params, trial.values[1]) for trial in trials])
    most = model.at_best(process, choices, _DEVIATIONS)
    if most >= best.values[1]:
        return ""
    return (
        f"cannot reach the front: {most:.2f} % at best are to be expected of it, "
        f"and trial {best.number}, which costs no more, has {best.values[1]:.2f} %"
    )
