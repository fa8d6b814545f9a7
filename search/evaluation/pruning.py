"""Predicts from the finished trials whether a plan can reach the front."""

from collections.abc import Sequence

from optuna.trial import FrozenTrial

from merges.plan import Plan
from search.accuracy_model import ENOUGH_PLANS, AccuracyModel
from search.pareto import costs_of, no_more
from search.space.plan_space import PlanSpace

_DEVIATIONS = 2.0


def prune_reason(trials: Sequence[FrozenTrial], space: PlanSpace, untouched: float, plan: Plan) -> str:
    """Why a plan is not worth training; empty if it may reach the front, or too little is known.

    It cannot reach the front if a plan that costs no more has reached a higher accuracy than the model's mean
    plus two standard deviations. `untouched` is the untouched network's accuracy (percent).
    """
    costs = space.costs(plan)
    rivals = [trial for trial in trials if no_more(costs_of(trial.values), costs)]
    if len(trials) < ENOUGH_PLANS or not rivals:
        return ""
    best = max(rivals, key=lambda trial: trial.values[1])
    model = AccuracyModel(space.estimates, untouched)
    process = model.fitted([(trial.params, trial.values[1]) for trial in trials])
    most = model.at_best(process, plan, _DEVIATIONS)
    if most >= best.values[1]:
        return ""
    return (
        f"predicted at most {most:.2f} % (mean + {_DEVIATIONS:.0f} sd); "
        f"trial {best.number} costs no more and reached {best.values[1]:.2f} %"
    )
