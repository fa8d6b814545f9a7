"""Counted kernels, what lies between them, and what they cost."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from latency_models import calibrate, compare
from latency_models.board.counted import RUNS
from latency_models.emulation import counts, emulator, records
from latency_models.emulation.between import Between
from latency_models.emulation.counting import count
from latency_models.emulation.work import KINDS, Worker
from latency_models.kernel import Kernel
from latency_models.predict import Predictor, UnknownKernelError
from latency_models.runtime import discover
from latency_models.table import LatencyTable, TableError
from latency_models.target import TargetError, load, names
from search.scoring.device import Device
from search.scoring.latency import Latencies
from training.workbench import structure

CONV = Kernel("conv", (64, 28, 28), (96, 28, 28), (3, 3), (1, 1), (1, 1), activation="relu")
EMULATED = [name for name in names() if load(name).core]
WORKER = Worker("ncnn", half=False)


def convolutions() -> st.SearchStrategy[Kernel]:
    sides = st.sampled_from([7, 14, 28, 56])
    channels = st.integers(1, 512)
    return st.builds(
        lambda source, made, side, window: Kernel(
            "conv", (source, side, side), (made, side, side), (window,) * 2, (1, 1), (window // 2,) * 2
        ),
        channels,
        channels,
        sides,
        st.sampled_from([1, 3, 5]),
    )


def readings(*instructions: int) -> str:
    """Counts after each reading, all of them of one class."""
    zeros = " 0" * (len(counts.CLASSES) - 1)
    return "".join(f"{number}{zeros}\n" for number in instructions)


def test_counts_are_the_least_of_the_later_runs_without_what_looking_costs(tmp_path: Path) -> None:
    (tmp_path / emulator.COUNTS).write_text(readings(0, 7, 10, 15, 20, 99, 200, 265, 300, 345))
    failed = {"id": "b", "kernel": replace(CONV, groups=2).to_row(), "looks": 10, "failed": "no", "end": 10}
    good = {"id": "a", "kernel": CONV.to_row(), "looks": 0, "runs": 4, "end": 10}
    (tmp_path / RUNS).write_text("".join(json.dumps(line) + "\n" for line in (good, failed)))
    found, refused = counts.counted(tmp_path)
    assert found[CONV][0] == 45 - 5, "runs of 79 (the first), 65 and 45; looks of 7 and 5"
    assert refused == {replace(CONV, groups=2).key: "no"}


def test_counts_come_back_from_their_file_and_the_same_counts_make_the_same_file(tmp_path: Path) -> None:
    some = dict(list(WORKER.counts.items())[:20])
    for name, order in (("one", 1), ("two", -1)):
        counts.save(dict(list(some.items())[::order]), tmp_path / f"{name}.csv.gz")
    assert (tmp_path / "one.csv.gz").read_bytes() == (tmp_path / "two.csv.gz").read_bytes()
    back = counts.load(tmp_path / "one.csv.gz")
    assert back.keys() == some.keys()
    assert all((back[kernel] == some[kernel]).all() for kernel in some)


def test_a_file_that_holds_no_counts_is_named(tmp_path: Path) -> None:
    path = tmp_path / "ncnn.csv.gz"
    path.write_bytes(b"nothing")
    with pytest.raises(TableError, match=r"ncnn\.csv\.gz holds no counts"):
        counts.load(path)


def test_shipped_counts_are_small_enough() -> None:
    assert sum(path.stat().st_size for path in counts.SHIPPED.glob("*.csv.gz")) < 5 * 2**20


def test_a_counted_kernel_has_its_own_counts_and_another_lies_between() -> None:
    kernel = next(kernel for kernel in WORKER.counts if kernel.op == "conv" and kernel.groups == 1)
    assert WORKER.of(kernel).counted
    other = replace(kernel, out_shape=(kernel.out_shape[0] + 1, *kernel.out_shape[1:]))
    assert not WORKER.of(other).counted
    assert WORKER.of(other).amounts.sum() == pytest.approx(WORKER.of(kernel).amounts.sum(), rel=0.5)


def test_counts_between_kernels_are_near_those_that_were_made() -> None:
    left_out = Between(WORKER.counts).left_out()
    made = np.array([WORKER.counts[kernel][: counts.INSTRUCTIONS].sum() for kernel in left_out])
    found = np.array([values[: counts.INSTRUCTIONS].sum() for values in left_out.values()])
    assert np.mean(np.abs(found / made - 1)) < 0.06
    assert abs(found.sum() / made.sum() - 1) < 0.03
    for name in records.PLAIN:
        kernels = [kernel for kernel in records.networks()[name] if kernel in left_out]
        between = sum(left_out[kernel][: counts.INSTRUCTIONS].sum() for kernel in kernels)
        own = sum(WORKER.counts[kernel][: counts.INSTRUCTIONS].sum() for kernel in kernels)
        assert abs(between / own - 1) < 0.04, name


@given(convolutions())
def test_no_kernel_is_free_and_four_times_the_pixels_cost_more(kernel: Kernel) -> None:
    larger = replace(
        kernel,
        in_shape=(kernel.in_shape[0], *(2 * side for side in kernel.in_shape[1:])),
        out_shape=(kernel.out_shape[0], *(2 * side for side in kernel.out_shape[1:])),
    )
    predictor = Predictor(load("raspberry-pi-4"), LatencyTable())
    small, large = predictor.latency(kernel), predictor.latency(larger)
    assert 0 < small.us < large.us
    assert math.isfinite(large.us)
    assert small.error < 0.2


@pytest.mark.parametrize("name", EMULATED)
def test_every_emulated_target_prices_networks_of_the_records(name: str) -> None:
    spec = load(name)
    predictor = Predictor(spec, LatencyTable())
    ms = sum(predictor.latency(kernel).us for kernel in records.networks()["resnet18"]) / 1000
    assert 10 < ms < 1500
    assert all(price >= 0 for price in calibrate.prices(spec))
    assert len(calibrate.prices(spec)) == len(KINDS)


def test_the_users_own_counts_take_the_place_of_what_lies_between(tmp_path: Path) -> None:
    spec = load("raspberry-pi-4")
    kernel = Kernel("conv", (61, 29, 29), (67, 29, 29), (3, 3), (1, 1), (1, 1))
    between = Predictor(spec, LatencyTable(), tmp_path).latency(kernel)
    own = {kernel: 2 * WORKER.counts_of(kernel).round().astype(int)}
    counts.save(own, counts.kept(tmp_path, "ncnn", half=False))
    counted = Predictor(spec, LatencyTable(), tmp_path).latency(kernel)
    assert counted.us == pytest.approx(2 * between.us, rel=0.1)
    assert counted.error < between.error


def test_latencies_have_another_fingerprint_where_counts_or_prices_differ(tmp_path: Path) -> None:
    spec = load("raspberry-pi-4")
    shipped = Predictor(spec, LatencyTable()).fingerprint
    assert Predictor(spec, LatencyTable(), tmp_path).fingerprint == shipped
    assert Predictor(load("raspberry-pi-3"), LatencyTable()).fingerprint != shipped
    counts.save({CONV: 2 * WORKER.counts_of(CONV).astype(int)}, counts.kept(tmp_path, "ncnn", half=False))
    assert Predictor(spec, LatencyTable(), tmp_path).fingerprint != shipped


def test_two_emulated_targets_are_compared_by_what_both_have_counted() -> None:
    first, second = (Predictor(load(f"raspberry-pi-{number}"), LatencyTable()) for number in (3, 4))
    found = compare.targets(first, second)
    assert found.common == len(WORKER.counts)
    assert found.only_first == found.only_second == 0
    assert next(row for row in found.by_op if row.op == "conv").median_ratio < 0.8, "4 is the faster board"


def test_an_operation_that_nothing_counted_is_like_is_refused_by_name() -> None:
    with pytest.raises(UnknownKernelError, match="raspberry-pi-4 knows no 'wavelet' layers"):
        Predictor(load("raspberry-pi-4"), LatencyTable()).latency(Kernel("wavelet", (3, 4, 4), (3, 4, 4)))


def test_a_missing_emulator_says_what_makes_it(tmp_path: Path) -> None:
    place = emulator.Emulator(tmp_path / "nothing")
    assert "the counting plugin" in place.missing()
    with pytest.raises(emulator.EmulatorError, match="profile --emulate --setup"):
        count(place, discover()["ncnn"], [CONV], half=False, keep=lambda found: None)


def test_missing_tools_are_named_with_their_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(emulator.EmulatorError, match="apt-get install qemu-user debootstrap"):
        emulator.Emulator(tmp_path).set_up(print)
    assert not list(tmp_path.iterdir())


def test_a_kernel_counts_the_same_again() -> None:
    place = emulator.Emulator(emulator.folder())
    if place.missing():
        pytest.skip("the emulator is not set up here: 'profile --emulate --setup'")
    kernel = Kernel("conv", (16, 14, 14), (32, 14, 14), (1, 1))
    runs: list[counts.Counts] = []
    for _ in range(2):
        assert not count(place, discover()["ncnn"], [kernel], half=False, keep=runs.append)
    assert (runs[0][kernel] == runs[1][kernel]).all()
    assert runs[0][kernel][0] == pytest.approx(kernel.macs / 4, rel=0.05), "four products in a vector"


def own_target(home: Path, **given: Any) -> None:
    """A board of the user's: the values of its file that are not given are right."""
    words = {
        "device": "mine",
        "runtime": "ncnn",
        "precision": "fp32",
        "kind": "emulated",
        "core": "cortex-a72",
    }
    values: dict[str, Any] = {**words, "source": "mine", "threads": 1, "clock_ghz": 1.5, **given}
    text = (f'"{value}"' if isinstance(value, str) else str(value).lower() for value in values.values())
    (home / "targets").mkdir(exist_ok=True)
    lines = (f"{name} = {value}\n" for name, value in zip(values, text, strict=True))
    (home / "targets/mine.toml").write_text("".join(lines))


def test_a_board_of_a_known_core_is_priced_by_its_clock(tmp_path: Path) -> None:
    ms: list[float] = []
    for clock in (1.5, 3.0):
        own_target(tmp_path, clock_ghz=clock)
        latency = Predictor(load("mine", tmp_path), LatencyTable()).latency(CONV)
        assert (latency.kind, latency.error > 0.05) == ("emulated", True)
        ms.append(latency.us)
    assert ms[1] < ms[0] < 2 * ms[1], "memory does not follow the clock"


def test_a_board_with_onnxruntime_has_no_blocked_layout(tmp_path: Path) -> None:
    own_target(tmp_path, runtime="onnxruntime", clock_ghz=1.8)
    latencies = [
        Latencies(structure("resnet18", 64), Device.named(name, tmp_path)).score({}).latency_ms
        for name in ("mine", "raspberry-pi-4-onnxruntime")
    ]
    assert latencies[0] == pytest.approx(latencies[1], rel=0.3), "the same core and clock"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"core": "cortex-a99"}, "core is 'cortex-a99'; expected one of cortex-a53"),
        ({"clock_ghz": 0}, "clock_ghz is missing or 0; expected that of the cortex-a72"),
        ({"clock_ghz": math.nan}, "clock_ghz is nan; expected a finite number"),
        ({"clock_ghz": True}, "clock_ghz is True; expected a valid number"),
        ({"clock_ghz": -1}, "clock_ghz is -1; expected greater than or equal to 0"),
        ({"core": ""}, "kind is 'emulated' and core ''; a core goes with kind 'emulated'"),
        ({"kind": "measured"}, "kind is 'measured' and core 'cortex-a72'"),
        ({"kind": "guess"}, "kind is 'guess'; expected 'measured', 'interpolated' or 'emulated'"),
        ({"precision": "int8"}, "precision is 'int8'; expected 'fp32'"),
        ({"runtime": "caffe"}, "runtime is 'caffe'; expected one of ncnn, onnxruntime"),
        ({"kore": "cortex-a72"}, "unknown field 'kore'; expected device, runtime"),
        ({"threads": 4}, "threads is 4; without timings of a board only 1 is known"),
    ],
)
def test_a_board_that_cannot_be_priced_is_refused(
    given: dict[str, Any], message: str, tmp_path: Path
) -> None:
    own_target(tmp_path, **given)
    with pytest.raises(TargetError, match=message):
        load("mine", tmp_path)


@pytest.mark.parametrize(
    "op", ["cut", "upsample", "layernorm", "sigmoid", "matmul", "sub", "softplus", "pad"]
)
def test_what_was_not_counted_is_priced_as_what_does_as_much_of_the_same(op: str) -> None:
    predictor = Predictor(load("raspberry-pi-4"), LatencyTable())
    kernel = Kernel(op, (64, 14, 14), (64, 14, 14), details="(1, 2)", work=(64 * 64 * 196, 0))
    assert 1 < predictor.latency(kernel).us < 1000
