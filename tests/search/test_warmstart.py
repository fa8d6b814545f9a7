"""What is tried first, from structure and latencies alone."""

from pathlib import Path

import pytest

from merges.plan import Plan
from search.scoring.latency import Device, Latencies
from search.space.additive import Worths
from search.space.estimates import weigh
from search.space.warm_start import first_plans
from training.workbench import structure


@pytest.fixture(scope="module")
def weighed() -> tuple[Latencies, Worths]:
    latencies = Latencies(structure("googlenet", 64), Device.named("arm-a57", Path("unused")))
    steps: list[tuple[int, int]] = []
    worths = weigh(latencies, None, lambda done, total: steps.append((done, total)))
    assert steps == [(done + 1, len(steps)) for done in range(len(steps))]
    return latencies, worths


def test_no_first_plan_holds_options_that_bar_each_other(weighed: tuple[Latencies, Worths]) -> None:
    latencies, worths = weighed
    plans = [plan for _, plan in first_plans(latencies, worths)]
    assert any("branch" in site for plan in plans for site in plan)
    assert any("project" in site for plan in plans for site in plan)
    for plan in plans:
        assert Plan.make(latencies.network, plan).choice == plan


def test_what_leaves_as_many_layers_is_guessed_to_harm_less(weighed: tuple[Latencies, Worths]) -> None:
    _, worths = weighed
    projected = worths["project:inception3a.branch4.0"]["1x1, then 3x3"]
    absorbed = worths["branch:inception3a"]["pool into 3x3 #2"]
    assert projected.harm < absorbed.harm
    stem = worths["streamline:conv1.conv"]
    assert stem["merge 9x9 2x wide"].harm < stem["merge 11x11"].harm < stem["merge 7x7"].harm
