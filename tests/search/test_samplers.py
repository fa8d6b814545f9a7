"""What every sampler must do, found by its name."""

import itertools
from collections.abc import Mapping
from typing import Any

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.distributions import CategoricalDistribution

from search.samplers import make_sampler, names
from search.space.additive import OptionEstimate
from search.space.problem import Problem

BLIND = ("gp", "grid", "nsga2", "random", "tpe")  # Optuna's know no limits: the driver refuses their plans
SITES = tuple(f"s{n}" for n in range(3))
SAVED_MS = {"keep": 0.0, "half": 5.0, "merge": 10.0}
LOST = {"keep": 0.0, "half": 0.5, "merge": 2.0}
ESTIMATES = {
    site: {option: OptionEstimate(SAVED_MS[option], 0.01 * LOST[option]) for option in ("half", "merge")}
    for site in SITES
}
EVERY = [dict(zip(SITES, options, strict=True)) for options in itertools.product(SAVED_MS, repeat=3)]


def values(plan: Mapping[str, str]) -> tuple[float, float]:
    return 50 - sum(SAVED_MS[o] for o in plan.values()), 90 - sum(LOST[o] for o in plan.values())


def problem(sites: int = 3, options: int = 3, **limits: Any) -> Problem:
    """The first sites with their first options."""
    offered = list(SAVED_MS)[:options]
    return Problem(
        {site: CategoricalDistribution(offered) for site in SITES[:sites]},
        {site: {option: ESTIMATES[site][option] for option in offered[1:]} for site in SITES[:sites]},
        50.0,
        90.0,
        **limits,
    )


def searched(
    name: str, seed: int, trials: int, of: Problem | None = None, study: optuna.Study | None = None
) -> optuna.Study:
    """A study whose trials a sampler chose after the untouched network."""
    of = of or problem()
    if study is None:
        study = optuna.create_study(directions=["minimize", "maximize"])
        study.enqueue_trial(dict.fromkeys(of.space, "keep"))
    study.sampler = make_sampler(name, seed, of)
    for _ in range(trials):
        trial = study.ask(of.space)
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
    assert plans(searched(name, 1, 6, study=study))[:6] == before
    assert len(study.trials) == 12


@pytest.mark.parametrize("name", names())
@settings(max_examples=6)
@given(sites=st.integers(1, 2), options=st.integers(2, 3), seed=st.integers(0, 99))
def test_more_trials_than_plans_are_no_fault(name: str, sites: int, options: int, seed: int) -> None:
    small = problem(sites, options)
    study = searched(name, seed, options**sites + 4, small)
    assert all(plan[site] in small.space[site].choices for plan in plans(study) for site in small.space)


@pytest.mark.parametrize("name", ["auto", "grid"])
def test_every_plan_of_a_small_space_is_found(name: str) -> None:
    small = problem(sites=2)
    tried = plans(searched(name, 0, 10, small))
    assert len({tuple(plan.items()) for plan in tried}) == 9


@pytest.mark.parametrize("name", [name for name in names() if name not in BLIND])
@pytest.mark.parametrize("slowest_ms", [35.0, 45.0])
def test_a_sampler_that_knows_limits_keeps_them_while_it_can(name: str, slowest_ms: float) -> None:
    def allowed(plan: Mapping[str, str]) -> bool:
        return values(plan)[0] <= slowest_ms and plan.get("s0") != "merge"

    limited = problem(slowest_ms=slowest_ms, allowed=allowed)
    _untouched, *proposed = plans(searched(name, 0, 9, limited))
    assert len(proposed) < sum(map(allowed, EVERY))  # there is always one left to try
    assert all(map(allowed, proposed))
