"""The sampler on problems that it was made for, and on one that breaks its assumptions."""

import itertools
from collections.abc import Callable

import numpy as np
import optuna
import pytest
from optuna.distributions import CategoricalDistribution
from scipy.stats import spearmanr

from search.accuracy_model import AccuracyModel
from search.pareto import hypervolume_area
from search.samplers import make_sampler, names
from search.samplers.auto import AutoSampler
from search.space.additive import OptionEstimate
from search.space.problem import Choices, Problem
from training.errors import BadInputError

SITES, OPTIONS = 6, ("keep", "a", "b")
BASE_MS, BASE = 100.0, 90.0
SPACE = {f"s{n}": CategoricalDistribution(OPTIONS) for n in range(SITES)}


def drawn(
    seed: int, pairs: float
) -> tuple[dict[str, dict[str, OptionEstimate]], dict[str, dict[str, float]]]:
    """What options save, with guessed losses, and the true losses."""
    random = np.random.default_rng(seed)
    estimates = {
        s: {o: OptionEstimate(float(random.uniform(1, 14)), 0.1) for o in OPTIONS[1:]} for s in SPACE
    }
    losses = {s: {"keep": 0.0} | {o: float(random.exponential(pairs)) for o in OPTIONS[1:]} for s in SPACE}
    return estimates, losses


def search(name: str, seed: int, trials: int) -> float:
    """Share of the exact hypervolume; two options in a row lose more than their sum."""
    estimates, losses = drawn(seed, 0.15)

    def values(plan: dict[str, str]) -> tuple[float, float]:
        saved = sum(estimates[s][o].saved_ms for s, o in plan.items() if o != "keep")
        loss = sum(losses[s][o] for s, o in plan.items())
        rows = sum(plan[a] != "keep" != plan[b] for a, b in itertools.pairwise(plan))
        return BASE_MS - saved, BASE * float(np.exp(-loss - 0.05 * rows))

    sampler = make_sampler(name, seed, Problem(SPACE, estimates, BASE_MS, BASE))
    study = optuna.create_study(directions=["minimize", "maximize"], sampler=sampler)
    found = [values(dict.fromkeys(SPACE, "keep"))]
    for _ in range(trials):
        trial = study.ask(SPACE)  # type: ignore[arg-type]
        found.append(values(trial.params))
        study.tell(trial, found[-1])
    every = [
        values(dict(zip(SPACE, options, strict=True))) for options in itertools.product(OPTIONS, repeat=SITES)
    ]
    return hypervolume_area(found, BASE_MS) / hypervolume_area(every, BASE_MS)


def test_it_comes_close_to_the_exact_front_and_beats_chance() -> None:
    ours = [search("auto", seed, 40) for seed in range(3)]
    chance = [search("random", seed, 40) for seed in range(3)]
    assert min(ours) > 0.95
    assert sum(ours) > sum(chance)


@pytest.mark.parametrize("name", [name for name in names() if name != "auto"])
def test_every_sampler_proposes_plans_of_the_space(name: str) -> None:
    assert 0 < search(name, 0, 5) <= 1


def test_one_seed_one_way() -> None:
    assert search("auto", 3, 12) == search("auto", 3, 12)


def test_nothing_is_proposed_twice_while_there_is_something_new() -> None:
    estimates, _ = drawn(0, 0.1)
    sampler = AutoSampler(Problem(SPACE, estimates, BASE_MS, BASE), seed=0)
    tried: list[tuple[dict[str, str], tuple[float, ...]]] = []
    for _ in range(30):
        plan = sampler.propose(tried)
        assert plan not in [known for known, _ in tried]
        tried.append((plan, (BASE_MS - len(plan), BASE - len(plan))))


def test_choices_that_come_to_a_known_plan_are_not_proposed() -> None:
    """Where a choice excludes the next site, 85 plans are left of 729: each is proposed once at most."""

    def repair(plan: Choices) -> dict[str, str]:
        made: dict[str, str] = {}
        for site, before in zip(SPACE, ["", *SPACE], strict=False):
            if plan.get(site, "keep") != "keep" and before not in made:
                made[site] = plan[site]
        return made

    estimates, _ = drawn(0, 0.1)
    sampler = AutoSampler(Problem(SPACE, estimates, BASE_MS, BASE, repair=repair), seed=0)
    tried: list[tuple[dict[str, str], tuple[float, ...]]] = [({}, (BASE_MS, BASE))]
    for _ in range(70):
        plan = sampler.propose(tried)
        assert repair(plan) == plan
        assert plan not in [known for known, _ in tried]
        tried.append((plan, (BASE_MS - 1, BASE - 1)))


def test_workers_spread_out() -> None:
    """Eight plans proposed at once add more when each counts with those that are at work."""
    estimates, losses = drawn(0, 0.15)

    def values(plan: Choices) -> tuple[float, float]:
        saved = sum(estimates[s][o].saved_ms for s, o in plan.items())
        return BASE_MS - saved, BASE * float(np.exp(-sum(losses[s][o] for s, o in plan.items())))

    def reached(seed: int, told: bool) -> float:
        sampler = AutoSampler(Problem(SPACE, estimates, BASE_MS, BASE), seed)
        tried = [(plan, values(plan)) for plan in ({}, {"s0": "a"}, {"s1": "b"}, {"s2": "a", "s3": "b"})]
        for _ in range(2):
            plans: list[dict[str, str]] = []
            for _ in range(8):
                plans.append(sampler.propose(tried, [] if told else plans, plans if told else []))
            tried += [(plan, values(plan)) for plan in plans]
        return hypervolume_area([found for _, found in tried], BASE_MS)

    assert sum(reached(seed, True) for seed in range(3)) > sum(reached(seed, False) for seed in range(3))


def test_latencies_that_do_not_add_up_are_worked_out() -> None:
    """Of two options side by side the smaller saves little, as it may in the same block."""
    estimates, losses = drawn(0, 0.15)

    def latency_ms(plan: Choices) -> float:
        saved = [estimates[s][plan[s]].saved_ms if plan.get(s, "keep") != "keep" else 0.0 for s in SPACE]
        return BASE_MS - sum(max(two) + 0.1 * min(two) for two in zip(saved[::2], saved[1::2], strict=True))

    def values(plan: Choices) -> tuple[float, float]:
        return latency_ms(plan), BASE * float(np.exp(-sum(losses[s][o] for s, o in plan.items())))

    def reached(seed: int, told: bool) -> float:
        costs = (lambda plan: [latency_ms(plan)]) if told else None
        sampler = AutoSampler(Problem(SPACE, estimates, BASE_MS, BASE, costs=costs), seed)
        tried = [(plan, values(plan)) for plan in ({}, {"s0": "a"}, {"s1": "b"}, {"s2": "a", "s3": "b"})]
        for _ in range(20):
            plan = sampler.propose(tried)
            tried.append((plan, values(plan)))
        return hypervolume_area([found for _, found in tried], BASE_MS)

    assert sum(reached(seed, True) for seed in range(3)) > sum(reached(seed, False) for seed in range(3))


def test_a_third_goal_draws_plans_that_the_others_alone_would_not() -> None:
    estimates, losses = drawn(0, 0.15)
    estimates["s0"] = {option: OptionEstimate(0.1, 0.1) for option in OPTIONS[1:]}
    losses["s0"] |= dict.fromkeys(OPTIONS[1:], 0.7)

    def small(goal: bool) -> int:
        """How many of the tried plans are small, which only the slow and lossy change of s0 makes them."""

        def goals(plan: Choices) -> list[float]:
            return [1.0 if "s0" in plan else 9.0] if goal else []

        def costs(plan: Choices) -> list[float]:
            return [BASE_MS - sum(estimates[s][o].saved_ms for s, o in plan.items()), *goals(plan)]

        sampler = AutoSampler(Problem(SPACE, estimates, BASE_MS, BASE, costs=costs), seed=0)
        first = ({}, {"s0": "a"})
        tried = [(plan, values(plan, goals)) for plan in first]
        for _ in range(30):
            plan = sampler.propose(tried)
            tried.append((plan, values(plan, goals)))
        return sum("s0" in plan for plan, _ in tried)

    def values(plan: Choices, goals: Callable[[Choices], list[float]]) -> tuple[float, ...]:
        saved = sum(estimates[s][o].saved_ms for s, o in plan.items())
        return (
            BASE_MS - saved,
            BASE * float(np.exp(-sum(losses[s][o] for s, o in plan.items()))),
            *goals(plan),
        )

    assert small(goal=True) > 2 * small(goal=False)


def test_limits_turn_it_to_plans_within() -> None:
    estimates, _ = drawn(0, 0.1)
    most = sum(max(w.saved_ms for w in found.values()) for found in estimates.values())
    limit = BASE_MS - 0.8 * most
    sampler = AutoSampler(Problem(SPACE, estimates, BASE_MS, BASE, slowest_ms=limit), seed=0)
    for _ in range(5):
        plan = sampler.propose([({}, (BASE_MS, BASE))])
        assert BASE_MS - sum(estimates[s][o].saved_ms for s, o in plan.items()) <= limit


def test_trials_go_to_plans_whose_accuracy_is_worth_something() -> None:
    """More of them are above the mark, and dominate more of what lies there."""
    worth = 0.75 * BASE

    def above(seed: int, worth_from: float) -> tuple[int, float]:
        estimates, losses = drawn(seed, 0.3)
        sampler = AutoSampler(Problem(SPACE, estimates, BASE_MS, BASE, worth_from=worth_from), seed)
        tried: list[tuple[dict[str, str], tuple[float, float]]] = [({}, (BASE_MS, BASE))]
        for _ in range(20):
            plan = sampler.propose(tried)
            saved = sum(estimates[s][o].saved_ms for s, o in plan.items())
            kept = float(np.exp(-sum(losses[s][o] for s, o in plan.items())))
            tried.append((plan, (BASE_MS - saved, BASE * kept)))
        found = [(ms, accuracy - worth) for _, (ms, accuracy) in tried if accuracy > worth]
        return len(found), hypervolume_area(found, BASE_MS)

    told, not_told = (np.sum([above(seed, mark) for seed in range(4)], axis=0) for mark in (worth, 0.0))
    assert told[0] > 1.2 * not_told[0]
    assert told[1] >= not_told[1]


def test_what_is_known_to_break_a_limit_is_not_proposed() -> None:
    estimates, _ = drawn(0, 0.1)
    sampler = AutoSampler(
        Problem(SPACE, estimates, BASE_MS, BASE, allowed=lambda plan: len(plan) <= 2), seed=0
    )
    tried: list[tuple[dict[str, str], tuple[float, ...]]] = [({}, (BASE_MS, BASE))]
    for _ in range(30):
        plan = sampler.propose(tried)
        assert len(plan) <= 2
        tried.append((plan, (BASE_MS - len(plan), BASE - len(plan))))


def test_trials_correct_what_was_believed() -> None:
    model = AccuracyModel({"s": {"a": OptionEstimate(1.0, 0.1)}, "t": {"a": OptionEstimate(1.0, 0.1)}}, BASE)
    seen = [({"s": "a"}, 0.01), ({"t": "a"}, 0.4), ({"s": "a", "t": "a"}, 0.41)]
    process = model.fitted([(plan, BASE * float(np.exp(-loss))) for plan, loss in seen])
    assert model.predict(process, {"s": "a"}) > 0.95 * BASE
    assert model.predict(process, {"t": "a"}) < 0.75 * BASE


def test_a_grid_that_is_too_large_is_refused() -> None:
    space = {f"s{n}": CategoricalDistribution(OPTIONS) for n in range(40)}
    with pytest.raises(BadInputError, match="`only`"):
        make_sampler("grid", 0, Problem(space, {}, BASE_MS, BASE))


def test_plans_that_were_not_seen_are_ranked_rightly() -> None:
    estimates, losses = drawn(1, 0.15)
    random = np.random.default_rng(0)
    tried = []
    for _ in range(40):
        plan = {s: str(random.choice(OPTIONS)) for s in SPACE}
        tried.append((plan, BASE * float(np.exp(-sum(losses[s][o] for s, o in plan.items())))))
    predicted = AccuracyModel(estimates, BASE).left_out(tried)
    assert spearmanr(predicted, [accuracy for _, accuracy in tried])[0] > 0.9
