"""What every sampler must do, found by its name."""

import itertools
from collections.abc import Mapping
from typing import Any

import optuna
import pytest
from optuna.distributions import CategoricalDistribution

from search.samplers import make_sampler, names
from search.space.additive import OptionEstimate
from search.space.problem import Problem

SITES = tuple(f"s{n}" for n in range(3))
SPACE: dict[str, Any] = {site: CategoricalDistribution(("keep", "half", "merge")) for site in SITES}
SAVED_MS = {"keep": 0.0, "half": 5.0, "merge": 10.0}
LOST = {"keep": 0.0, "half": 0.5, "merge": 2.0}
ESTIMATES = {
    site: {option: OptionEstimate(SAVED_MS[option], 0.01 * LOST[option]) for option in ("half", "merge")}
    for site in SITES
}
EVERY = [dict(zip(SITES, options, strict=True)) for options in itertools.product(SAVED_MS, repeat=3)]


def values(plan: Mapping[str, str]) -> tuple[float, float]:
    return 50 - sum(SAVED_MS[o] for o in plan.values()), 90 - sum(LOST[o] for o in plan.values())


def searched(name: str, seed: int, trials: int, study: optuna.Study | None = None) -> optuna.Study:
    """A study whose trials a sampler chose after the untouched network."""
    if study is None:
        study = optuna.create_study(directions=["minimize", "maximize"])
        study.enqueue_trial(dict.fromkeys(SITES, "keep"))
    study.sampler = make_sampler(name, seed, Problem(SPACE, ESTIMATES, 50.0, 90.0))
    for _ in range(trials):
        trial = study.ask(SPACE)
        study.tell(trial, values(trial.params))
    return study


def plans(study: optuna.Study) -> list[dict[str, str]]:
    return [trial.params for trial in study.trials]


@pytest.mark.parametrize("name", names())
def test_the_same_seed_gives_the_same_plans_of_the_space(name: str) -> None:
    first, second = (plans(searched(name, 3, 12)) for _ in range(2))
    assert first == second
    assert all(plan in EVERY for plan in first)
    assert first[0] == dict.fromkeys(SITES, "keep")
    assert len({tuple(plan.items()) for plan in first}) >= 6


@pytest.mark.parametrize("name", names())
def test_a_study_goes_on_with_another_sampler_of_the_kind(name: str) -> None:
    study = searched(name, 0, 6)
    before = plans(study)
    assert plans(searched(name, 1, 6, study))[:6] == before
    assert len(study.trials) == 12


@pytest.mark.parametrize("name", names())
def test_more_trials_than_plans_are_no_fault(name: str) -> None:
    space = {"s0": SPACE["s0"]}
    study = optuna.create_study(directions=["minimize", "maximize"])
    estimates = {"s0": ESTIMATES["s0"]}
    study.sampler = make_sampler(name, 0, Problem(space, estimates, 50.0, 90.0))
    for _ in range(9):
        trial = study.ask(space)
        study.tell(trial, values(trial.params))
    assert {trial.params["s0"] for trial in study.trials} == {"keep", "half", "merge"}
