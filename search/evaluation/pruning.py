"""Whether a plan can still reach the front, as far as the finished trials tell."""

from collections.abc import Sequence

from optuna.trial import FrozenTrial

from merges.plan import Plan
from search.accuracy_model import ENOUGH_PLANS, AccuracyModel
from search.pareto import costs_of, no_more
from search.space.plan_space import PlanSpace

_DEVIATIONS = 2.0


def prune_reason(trials: Sequence[FrozenTrial], space: PlanSpace, untouched: float, plan: Plan) -> str:
    """Why a plan is not worth training; empty where it may reach the front, or too little is known.

    `untouched` is the accuracy of the untouched network. It is not where even
    two standard deviations more than the model expects are less than what a plan that costs no more has
    reached.
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
        f"cannot reach the front: {most:.2f} % at best are to be expected of it, "
        f"and trial {best.number}, which costs no more, has {best.values[1]:.2f} %"
    )
