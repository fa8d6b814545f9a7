"""Plans that cannot reach the front are not trained."""

import itertools
import re
from types import SimpleNamespace
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.distributions import CategoricalDistribution

from search.evaluation.pruning import prune_reason
from search.space.additive import OptionEstimate

SITES = [f"s{n}" for n in range(5)]
SPACE = {site: CategoricalDistribution(("keep", "cut")) for site in SITES}
LOSSES = dict(zip(SITES, (0.001, 0.002, 0.005, 0.01, 1.0), strict=True))
PLANS: Any = SimpleNamespace(
    estimates={site: {"cut": OptionEstimate(10.0, 0.1)} for site in SITES},
    costs=lambda plan: [latency(plan)],
)


def accuracy(plan: dict[str, str]) -> float:
    return 90 * float(np.exp(-sum(LOSSES[s] for s, o in plan.items() if o == "cut")))


def trials_of(plans: list[dict[str, str]]) -> list[optuna.trial.FrozenTrial]:
    study = optuna.create_study(directions=["minimize", "maximize"])
    for plan in plans:
        values = [latency(plan), accuracy(plan)]
        study.add_trial(optuna.create_trial(params=plan, distributions=SPACE, values=values))  # type: ignore[arg-type]
    return study.trials


def latency(plan: dict[str, str]) -> float:
    return 100.0 - 10 * sum(o == "cut" for o in plan.values())


EVERY = [dict(zip(SITES, o, strict=True)) for o in itertools.product(("keep", "cut"), repeat=len(SITES))]


def test_a_plan_far_below_the_front_is_pruned_and_one_on_it_is_not() -> None:
    study = trials_of(EVERY[:8] + EVERY[9:16:2] + EVERY[16:20])
    bad = dict.fromkeys(SITES, "keep") | {"s4": "cut"}
    reason = prune_reason(study, PLANS, 90.0, bad)
    assert re.fullmatch(
        r"predicted at most .* % \(mean \+ 2 sd\); trial \d+ costs no more and reached .* %", reason
    )
    good = dict.fromkeys(SITES, "cut") | {"s4": "keep"}
    assert prune_reason(study, PLANS, 90.0, good) == ""


def test_nothing_is_pruned_while_little_is_known_or_nothing_is_as_fast() -> None:
    bad = dict.fromkeys(SITES, "cut")
    assert prune_reason(trials_of(EVERY[:5]), PLANS, 90.0, bad) == ""
    assert prune_reason(trials_of(EVERY[:-1]), PLANS, 90.0, bad) == ""


@pytest.mark.parametrize("seed", range(5))
def test_no_plan_of_the_exact_front_is_dropped(seed: int) -> None:
    dice = np.random.default_rng(seed)
    tried = [EVERY[i] for i in dice.permutation(len(EVERY))[:14]]
    front = [
        p for p in EVERY if not any(latency(q) <= latency(p) and accuracy(q) > accuracy(p) for q in EVERY)
    ]
    study = trials_of(tried)
    assert not any(prune_reason(study, PLANS, 90.0, plan) for plan in front if plan not in tried)
