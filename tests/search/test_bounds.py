"""What can be reached, on a network whose fastest plan has more weights than the untouched network."""

from pathlib import Path

import pytest

from search.scoring.device import Device
from search.scoring.latency import Latencies
from search.space.bounds import reachable
from search.space.estimates import weigh
from search.space.limits import Limits
from training.errors import BadInputError
from training.workbench import structure


@pytest.fixture(scope="module")
def latencies() -> Latencies:
    network = structure("squeezenet1_1", 64, skip=("width:*",))
    return Latencies(network, Device.named("arm-a57", Path("unused")))


def said(latencies: Latencies, limits: Limits) -> str:
    steps: list[tuple[int, int]] = []
    estimates = weigh(latencies, None, lambda done, total: None)
    text = reachable(latencies, estimates, {}, limits, lambda done, total: steps.append((done, total)))
    assert steps == [(done + 1, len(steps)) for done in range(len(steps))]
    return text


def test_a_limit_that_the_fastest_plan_breaks_and_others_keep_is_no_refusal(latencies: Latencies) -> None:
    untouched = latencies.score({})
    text = said(latencies, Limits(parameters_m=1.01 * untouched.parameters / 1e6))
    assert f" ms (untouched {untouched.latency_ms:.2f})" in text
    parameters = f"{untouched.parameters / 1e6:.2f}"
    assert f"parameters {parameters} M (untouched {parameters})" in text, "no plan has fewer"


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        (Limits(parameters_m=1.2), "parameters exceed `max_params` 1.2"),
        (Limits(memory_mib=0.2), "MiB exceeds `max_memory` 0.2"),
        (Limits(latency="75%"), "ms exceeds `max_latency` 75%"),
    ],
)
def test_limits_below_the_least_are_refused(latencies: Latencies, limits: Limits, reason: str) -> None:
    with pytest.raises(BadInputError, match=reason):
        said(latencies, limits)


@pytest.mark.parametrize("latency", ["", " ", "ms", "%", "40", "-3ms", "0%", "nanms", "1e400ms", "40 s"])
def test_a_latency_that_is_none_is_refused(latency: str) -> None:
    with pytest.raises(BadInputError, match="expected milliseconds as 40ms, or 50%"):
        Limits(latency=latency)


@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf")])
def test_a_limit_that_is_no_number_is_refused(value: float) -> None:
    for limits in ({"drop": value}, {"memory_mib": value}, {"parameters_m": value}):
        with pytest.raises(BadInputError, match="expected a number of at least 0"):
            Limits(**limits)
