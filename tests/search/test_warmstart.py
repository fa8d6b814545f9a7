"""What is tried first, from structure and latencies alone."""

from pathlib import Path

import pytest

from merges.plan import Plan
from search.scoring.device import Device
from search.scoring.latency import Latencies
from search.space.additive import Estimates
from search.space.estimates import weigh
from search.space.warm_start import first_plans
from training.workbench import structure


@pytest.fixture(scope="module")
def weighed() -> tuple[Latencies, Estimates]:
    latencies = Latencies(structure("googlenet", 64), Device.named("arm-a57", Path("unused")))
    steps: list[tuple[int, int]] = []
    estimates = weigh(latencies, None, lambda done, total: steps.append((done, total)))
    assert steps == [(done + 1, len(steps)) for done in range(len(steps))]
    return latencies, estimates


def test_no_first_plan_holds_options_that_bar_each_other(weighed: tuple[Latencies, Estimates]) -> None:
    latencies, estimates = weighed
    plans = [plan for _, plan in first_plans(latencies, estimates)]
    assert any("branch" in site for plan in plans for site in plan)
    assert any("project" in site for plan in plans for site in plan)
    for plan in plans:
        assert dict(Plan.make(latencies.network, plan)) == plan


def test_what_leaves_as_many_layers_is_guessed_to_lose_less(weighed: tuple[Latencies, Estimates]) -> None:
    _, estimates = weighed
    projected = estimates["project:inception3a.branch4.0"]["1x1, then 3x3"]
    absorbed = estimates["branch:inception3a"]["pool into 3x3 #2"]
    assert projected.loss < absorbed.loss
    stem = estimates["streamline:conv1.conv"]
    assert stem["merge 9x9 2x wide"].loss < stem["merge 11x11"].loss < stem["merge 7x7"].loss


def test_of_the_papers_plan_is_tried_what_is_offered() -> None:
    for only, rules in (("reducer:*", {"reducer"}), ("depthwise:*", set())):
        latencies = Latencies(
            structure("googlenet", 64, only=[only]), Device.named("arm-a57", Path("unused"))
        )
        estimates = weigh(latencies, None, lambda done, total: None)
        papers = [plan for name, plan in first_plans(latencies, estimates) if name == "paper"]
        assert {site.partition(":")[0] for plan in papers for site in plan} == rules
