"""Merges that a target has no latency for are not offered there."""

from pathlib import Path

import pytest

from latency_models.emulation.work import Work, Worker
from latency_models.kernel import Kernel
from latency_models.predict import UnknownKernelError
from merges.network import Network
from search.scoring.availability import priced
from search.scoring.device import Device
from training.workbench import structure

BOARD = "rk3588-a55"


@pytest.fixture(scope="module")
def whole() -> Network:
    return structure("googlenet", 64)


def test_what_a_target_cannot_price_is_left_out_with_the_reason(
    whole: Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = Worker.of

    def without_splits(worker: Worker, kernel: Kernel) -> Work:
        if kernel.op == "split":
            raise LookupError(kernel.op)
        return known(worker, kernel)

    monkeypatch.setattr(Worker, "of", without_splits)
    devices = [Device.named(name, tmp_path) for name in ("arm-a57", BOARD)]
    for latencies in priced(whole, devices):
        offered = latencies.network.sites
        assert 0 < len(offered) < len(whole.sites)
        assert {site.id for site in offered} < {site.id for site in whole.sites}
        latencies.score_options()
        assert any("knows no 'split'" in refusal.reason for refusal in latencies.network.refused)
    (alone,) = priced(whole, devices[:1])
    assert alone.network is whole


@pytest.mark.parametrize("name", ["arm-a57", "arm-a57-ncnn", "rk3399-caffe-4t", "raspberry-pi-5"])
def test_a_target_of_every_kind_prices_the_default_network_or_says_why_not(
    name: str, whole: Network, tmp_path: Path
) -> None:
    try:
        (latencies,) = priced(whole, [Device.named(name, tmp_path)])
    except UnknownKernelError as error:
        assert "googlenet" in str(error) or "has no measurement" in str(error)
        return
    fastest = {site.id: site.names[-1] for site in latencies.network.sites}
    assert latencies.score(fastest).latency_ms > 0
