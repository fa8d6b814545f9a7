"""Latency of plans on targets."""

import functools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from latency_models import build_tables
from latency_models.cost import Cost
from latency_models.table import LatencyTable
from merges.graph import propagate_shapes
from merges.network import Network, analyse, narrowed
from merges.plan import Plan
from search.scoring.alone import all_together
from search.scoring.device import Device
from search.scoring.latency import Latencies
from search.scoring.lowering import lower
from search.space import listing, presets, warm_start
from tests import networks
from training import threads
from training.errors import BadInputError
from training.workbench import structure


def quiet(what: str) -> Callable[[int, int], None]:
    return lambda done, total: None


@pytest.fixture(scope="module")
def bvlc() -> Latencies:
    return Latencies(structure("bvlc_googlenet"), Device.named("arm-a57", Path("unused")))


def test_untouched_googlenet_is_within_five_percent_of_the_measured_359_ms(bvlc: Latencies) -> None:
    score = bvlc.score({})
    assert score.latency_ms == pytest.approx(359, rel=0.05)
    assert score.total.kind == "measured"
    assert score.speedup == 1


def test_untouched_alexnet_is_what_was_measured() -> None:
    score = Latencies(structure("bvlc_alexnet"), Device.named("arm-a57", Path("unused"))).score({})
    rows = [
        row
        for network, _, row in build_tables.measurements(build_tables.records("jetson-tx1", None))
        if network == "bvlc_alexnet"
    ]
    measured_ms = sum(row.median_us for row in rows if row.kernel.op != "softmax") / 1000
    assert score.latency_ms == pytest.approx(measured_ms, rel=0.02)
    assert score.total.kind == "measured"


def test_the_papers_plan_is_as_fast_as_the_paper_measured(bvlc: Latencies) -> None:
    plan = Plan.make(bvlc.network, presets.preset("paper", bvlc.network))
    assert 3.5 <= bvlc.score(plan).speedup <= 4.3
    rules = [site.partition(":")[0] for site in plan]
    assert {rule: rules.count(rule) for rule in set(rules)} == {"streamline": 2, "branch": 9, "reducer": 9}


def target_of(network: Network) -> str:
    """A target that has a latency for every layer: Caffe's know no gates and no changes of layout."""
    return "raspberry-pi-4" if network.name in ("inverted", "convnext") else "arm-a57"


def test_a_plans_score_is_the_sum_over_its_whole_lowered_network(network: Network) -> None:
    """Block by block is the same as lowering the merged network in one piece."""
    device = Device.named(target_of(network), Path("unused"))
    device.table = LatencyTable(device.table.rows.values())
    latencies = Latencies(network, device)
    plan = Plan.make(network, {site.id: site.names[-1] for site in network.sites})
    merged = analyse("again", network.merged(plan), network.input_shape).teacher
    propagate_shapes(merged, (1, *network.input_shape))
    whole = [layer.kernel for layer in device.runtime.fuse(lower(merged))]
    parts = [layer.kernel for layer in latencies.layers(plan)]
    assert sorted(k.key for k in whole) == sorted(k.key for k in parts)
    total = Cost.of(device.predictor, whole).total()
    score = latencies.score(plan)
    assert total.latency_ms == pytest.approx(score.latency_ms)
    assert (total.kinds, total.outside) == (score.total.kinds, score.total.outside)
    assert total.error == pytest.approx(score.total.error)


def test_the_sites_answer_has_every_option_with_its_own_latency(network: Network) -> None:
    answer = listing.list_sites(Latencies(network, Device.named(target_of(network), Path("unused")))).answer()
    listed = {site["id"]: site for site in answer["sites"]}
    assert set(listed) == {site.id for site in (*network.sites, *network.folded)}
    for site in network.sites:
        assert [o["name"] for o in listed[site.id]["options"]] == list(site.names)
        assert listed[site.id]["options"][0]["speedup"] == pytest.approx(1)
    assert all(o["latency_ms"] > 0 for site in answer["sites"] for o in site["options"])


def test_a_host_table_is_measured_once_kept_and_reused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = analyse("n", networks.fire(), (3, 16, 16))
    first = Latencies(network, Device.named("host", tmp_path))
    said: list[str] = []
    monkeypatch.setattr(threads, "idle", lambda: 0.2)
    assert first.learn_all(quiet, said.append) > 0
    assert "left 0.2 cores" in said[0]
    monkeypatch.setattr(threads, "idle", lambda: 1.0)
    assert first.learn_all(quiet, said.append, again=True) > 0
    assert len(said) == 1
    again = Latencies(network, Device.named("host", tmp_path))
    assert again.learn_all(quiet) == 0
    assert again.score({}).latency_ms == pytest.approx(first.score({}).latency_ms, rel=0.01)
    assert again.score({}).total.kind == "measured"


def test_on_this_machine_the_untouched_network_takes_what_it_takes_in_one_piece(tmp_path: Path) -> None:
    network = analyse("n", networks.with_batch_norm(), (3, 24, 24))
    device = Device.named("host", tmp_path)
    summed = Latencies(network, device)
    plan = {network.sites[0].id: network.sites[0].names[-1]}
    speedup = summed.score(plan).speedup
    one = device.table.get(all_together(network))
    assert one is not None
    assert summed.baseline.latency_ms == pytest.approx(one.median_us / 1000)
    device.keep([replace(one, median_us=3 * one.median_us)])
    slower = Latencies(network, device)
    assert slower.baseline.latency_ms == pytest.approx(3 * summed.baseline.latency_ms)
    assert slower.score(plan).speedup == pytest.approx(speedup), "kernels are scaled alike"
    assert sum(found.us for _, found in slower.by_layer(None)) == pytest.approx(3 * one.median_us)
    narrow = Latencies(narrowed(network, 0.5), device)
    assert narrow.baseline.latency_ms == slower.baseline.latency_ms
    assert narrow.scale == slower.scale


def test_a_network_that_cannot_be_timed_in_one_piece_is_the_sum_of_its_kernels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> None:
        raise ValueError("no such operation")

    network = analyse("n", networks.fire(), (3, 16, 16))
    device = Device.named("host", tmp_path)
    monkeypatch.setattr("search.scoring.alone.to_onnx", refused)
    latencies = Latencies(network, device)
    kernels = [layer.kernel for layer in latencies.layers({})]
    assert latencies.score({}).latency_ms == pytest.approx(
        Cost.of(device.predictor, kernels).latency_us / 1000
    )


@functools.cache
def outline_of(network: str) -> Network:
    return structure(network, low_rank=True)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "network"), presets.known())
def test_every_step_of_every_preset_fits_its_network_and_makes_it_faster(name: str, network: str) -> None:
    latencies = Latencies(outline_of(network), Device.named("arm-a57", Path("unused")))
    speedups = [1.0]
    for number in range(1, len(presets.steps(name, network)) + 1):
        choices = presets.preset(f"{name}:{number}", latencies.network)
        plan = Plan.make(latencies.network, choices)
        assert dict(plan) == choices
        speedups.append(latencies.score(choices).speedup)
    assert speedups == sorted(speedups)
    assert presets.preset(name, latencies.network) == choices


def test_the_exact_plan_pays_and_keeps_the_answers() -> None:
    network = analyse("mixed", networks.mixed(), (3, 24, 24))
    latencies = Latencies(network, Device.named("arm-a57", Path("unused")))
    chosen = warm_start.lossless(latencies)
    assert chosen
    assert latencies.score(chosen).speedup > 1
    x = torch.randn(2, 3, 24, 24)
    with torch.no_grad():
        wanted, got = network.teacher(x), network.merged(chosen)(x)
    assert (got - wanted).abs().max() <= 1e-4 * wanted.abs().max()


def test_unknown_presets_and_networks_without_one_are_named() -> None:
    network = analyse("n", networks.fire(), (3, 16, 16))
    with pytest.raises(BadInputError, match=r"unknown preset 'mine'.*paper"):
        presets.preset("mine", network)
    with pytest.raises(BadInputError, match="made for bvlc_googlenet"):
        presets.preset("paper", network)
    alexnet = structure("bvlc_alexnet")
    with pytest.raises(BadInputError, match=r"no step '3'.*1 \(conv1\), 2 \(conv2\)"):
        presets.preset("paper:3", alexnet)
