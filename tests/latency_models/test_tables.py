"""Shipped tables come from their sources, and every number says what it rests on."""

import json
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latency_models import build_tables, calibrate, compare, target
from latency_models.cost import Cost
from latency_models.kernel import Kernel
from latency_models.predict import Predictor, UnknownKernelError
from latency_models.store import Store
from latency_models.table import LatencyTable, Measurement, TableError

A57 = target.load("arm-a57")
TABLE = LatencyTable.load(target.TABLES / A57.table)


def test_the_shipped_table_is_what_its_sources_give(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build_tables, "TABLES", tmp_path)
    build_tables.main()
    for name in build_tables.TABLES_OF:
        assert (tmp_path / f"{name}.csv").read_text() == (target.TABLES / f"{name}.csv").read_text()


def test_measured_layers_of_googlenet_add_up_to_the_measured_total() -> None:
    rows = [
        row
        for network, _, row in build_tables.measurements(build_tables.records("jetson-tx1", None))
        if network == "bvlc_googlenet"
    ]
    assert sum(row.median_us for row in rows) / 1000 == pytest.approx(359, rel=0.01)


@pytest.mark.parametrize("name", target.names())
def test_every_target_has_provenance(name: str) -> None:
    spec = target.load(name)
    assert spec.kind in target.KINDS
    assert spec.source
    assert spec.threads >= 1
    if spec.core:
        assert Predictor(spec, LatencyTable()).calibration_error < 0.25
    else:
        assert spec.grows or len(LatencyTable.load(target.TABLES / spec.table)) > 0


def test_a_measured_kernel_is_read_from_the_table() -> None:
    row = next(iter(TABLE.rows.values()))
    latency = Predictor(A57, TABLE).latency(row.kernel)
    assert (latency.us, latency.kind) == (row.median_us, "measured")


def test_between_measurements_the_model_is_near_and_says_so() -> None:
    kernel = Kernel("conv", (192, 28, 28), (96, 28, 28), (3, 3), (1, 1), (1, 1))
    latency = Predictor(A57, TABLE).latency(kernel)
    assert latency.kind == "interpolated"
    assert 0 < latency.error < 0.1
    assert not latency.outside
    # Twice the taps of the measured 96-map convolution at that size, three quarters of its maps.
    near = next(
        r for r in TABLE.rows.values() if r.kernel.in_shape == (96, 28, 28) and r.kernel.window == (3, 3)
    )
    assert latency.us == pytest.approx(near.median_us * 1.5, rel=0.25)


@given(
    channels=st.integers(1, 512),
    maps=st.integers(1, 512),
    side=st.integers(1, 64),
    window=st.sampled_from([1, 3, 5]),
)
def test_no_kernel_is_free(channels: int, maps: int, side: int, window: int) -> None:
    kernel = Kernel(
        "conv", (channels, side, side), (maps, side, side), (window, window), (1, 1), (window // 2,) * 2
    )
    assert PREDICTOR.latency(kernel).us > 0


PREDICTOR = Predictor(A57, TABLE)


def test_an_unknown_operation_is_refused_by_name() -> None:
    with pytest.raises(UnknownKernelError, match=r"'hardswish'.*host"):
        Cost.of(PREDICTOR, [Kernel("hardswish", (3, 4, 4), (3, 4, 4))])


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_table_survives_its_file(tmp_path: Path, suffix: str) -> None:
    TABLE.save(tmp_path / f"t.{suffix}")
    again = LatencyTable.load(tmp_path / f"t.{suffix}")
    assert list(again.rows) == list(TABLE.rows)
    assert again.frame()["median_us"].sum() == pytest.approx(TABLE.frame()["median_us"].sum(), rel=1e-5)


def test_a_damaged_table_is_named(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("op,median_us\nconv,fast\n")
    with pytest.raises(TableError, match=r"t\.csv is not a latency table"):
        LatencyTable.load(tmp_path / "t.csv")


def test_a_later_measurement_takes_the_place_of_an_earlier_one() -> None:
    kernel = Kernel("relu", (4, 8, 8), (4, 8, 8))
    table = LatencyTable([Measurement(kernel, 1.0, 0.1, 3, "old")])
    table.add([Measurement(kernel, 2.0, 0.1, 3, "new")])
    found = table.get(kernel)
    assert found is not None
    assert (len(table), found.source) == (1, "new")


def test_kernels_have_different_names_and_survive_a_row() -> None:
    keys = {kernel.key for kernel in TABLE.rows}
    assert len(keys) == len(TABLE)
    assert all(Kernel.from_row(kernel.to_row()) == kernel for kernel in TABLE.rows)


def test_an_unknown_target_is_named_with_the_known_ones() -> None:
    with pytest.raises(target.TargetError, match=r"'arm-a99'.*arm-a57.*host"):
        target.load("arm-a99")


def test_a_store_keeps_the_tables_of_targets_apart_and_the_latest_row(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path / 'tables.db'}")
    assert len(store.load("mine")) == 0
    rows = list(TABLE.rows.values())
    store.keep("mine", rows)
    store.keep("other", [Measurement(rows[0].kernel, 1.0, 0.1, 3, "elsewhere", noisy=True)])
    store.keep("mine", [Measurement(rows[1].kernel, 2.0, 0.1, 3, "again")])
    mine, other = Store(store.url).load("mine"), store.load("other")
    assert set(mine.rows) == set(TABLE.rows)
    again, elsewhere = mine.get(rows[1].kernel), other.get(rows[0].kernel)
    assert again is not None and elsewhere is not None
    assert (again.median_us, again.source, again.noisy) == (2.0, "again", False)
    assert (len(other), elsewhere.noisy) == (1, True)


NEVER = [("median_us", v) for v in (-1.0, 0.0, float("inf"), float("nan"), 1e12)]
NEVER += [("spread_us", v) for v in (-0.1, float("nan"))] + [("repeats", v) for v in (0, -3, 10**12)]


@pytest.mark.parametrize(("field", "value"), NEVER)
def test_an_impossible_timing_is_refused_and_named(field: str, value: float, tmp_path: Path) -> None:
    with pytest.raises(TableError, match=rf"{field} is .*; expected .*conv 3x"):
        replace(next(iter(TABLE.rows.values())), **{field: value})
    frame = TABLE.frame().astype({field: type(value)})
    frame.loc[3, field] = value
    frame.to_parquet(tmp_path / "t.parquet")
    with pytest.raises(TableError, match=rf"t\.parquet .*{field} is "):
        LatencyTable.load(tmp_path / "t.parquet")


def test_a_store_that_holds_an_impossible_timing_says_so(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path / 'tables.db'}")
    store.keep("mine", TABLE.rows.values())
    with sqlite3.connect(tmp_path / "tables.db") as database:
        database.execute("update latency set median_us = -5 where rowid = 7")
    table = store.load("mine")
    assert len(table) == len(TABLE) - 1
    assert "1 impossible timing" in table.remark
    assert "median_us is -5" in table.remark


def test_what_an_earlier_version_timed_in_another_way_is_measured_again(tmp_path: Path) -> None:
    rows = list(TABLE.rows.values())
    store = Store(f"sqlite:///{tmp_path / 'tables.db'}")
    store.keep("mine", rows)
    with sqlite3.connect(tmp_path / "tables.db") as database:
        database.execute("alter table latency drop column method")
    assert len(store.load("mine", only_current=True)) == 0
    assert len(store.load("mine")) == len(rows), "a board that is not at hand keeps its table"
    store.keep("mine", rows[:2])
    assert len(store.load("mine", only_current=True)) == 2


def test_a_damaged_store_is_named(tmp_path: Path) -> None:
    (tmp_path / "tables.db").write_text("no database at all, but long enough to be looked at" * 9)
    with pytest.raises(TableError, match=r"tables\.db cannot be used"):
        Store(f"sqlite:///{tmp_path / 'tables.db'}").load("mine")


@pytest.mark.parametrize("name", ["raspberry-pi-4", "raspberry-pi-4-4t", "raspberry-pi-5"])
def test_shipped_calibrations_are_what_their_sources_give(name: str) -> None:
    shipped = json.loads((target.CALIBRATIONS / f"{name}.json").read_text())
    made = calibrate.calibrate(target.load(name))
    assert made["error"] == pytest.approx(shipped["error"], rel=1e-2)
    assert made["prices_us"] == pytest.approx(shipped["prices_us"], rel=1e-2)


def test_emulated_targets_know_their_error_and_refuse_other_operations() -> None:
    predictor = Predictor(target.load("arm-a57-ncnn"), LatencyTable())
    latency = predictor.latency(Kernel("conv", (64, 56, 56), (64, 56, 56), (3, 3), (1, 1), (1, 1)))
    assert (latency.kind, latency.us > 0) == ("emulated", True)
    assert 0.02 < latency.error < 0.12
    with pytest.raises(UnknownKernelError, match=r"no 'wavelet' layers"):
        predictor.latency(Kernel("wavelet", (3, 4, 4), (3, 4, 4)))
    us = [predictor.latency(Kernel(op, (64, 56, 56), (64, 56, 56))).us for op in ("hardswish", "silu")]
    assert 0 < us[0] < us[1], "an exponential costs more"


def test_two_tables_are_compared_kernel_by_kernel() -> None:
    rows = list(TABLE.rows.values())
    slower = [replace(row, median_us=2 * row.median_us) for row in reversed(rows[5:])]
    spec = target.load("arm-a57")
    found = compare.targets(Predictor(spec, TABLE), Predictor(spec, LatencyTable(slower)))
    assert (found.common, found.only_first, found.only_second) == (len(rows) - 5, 5, 0)
    assert all(ratio.median_ratio == pytest.approx(2) for ratio in found.by_op)
