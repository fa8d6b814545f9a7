"""The comparison with rivals: its curves, and a small form of the whole."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import rival_curves
from benchmarks.rival_cases import CASES, Bench, Case
from benchmarks.rival_cells import speedup_on, work
from benchmarks.rival_curves import Curves
from benchmarks.rival_methods import cells_of
from training.progress import silent

IMAGES = 200


def cell(method: str, setting: float, right: int, seed: int = 0) -> dict[str, Any]:
    """A finished cell whose first so many images are right."""
    bits = np.arange(IMAGES) < right
    known = {"case": "c", "method": method, "setting": setting, "seed": seed, "images": IMAGES, "seconds": 1}
    packed = np.packbits(bits).tobytes().hex()
    priced = {"arm-a57": 1.0}
    return known | {"right": packed, "top1": 100 * right / IMAGES, "priced": priced, "file_bytes": 1_000_000}


def curves(speeds: dict[str, float], *cells: dict[str, Any]) -> Curves:
    timings = {name: {"1": {"speedup": speed}} for name, speed in speeds.items()}
    return Curves(cells, timings)


def at(found: Curves, method: str, mark: float) -> float:
    return found.at(method, mark, found.seeds, np.arange(IMAGES))


def test_speed_ups_are_interpolated_between_points_and_never_beyond() -> None:
    found = curves(
        {"untouched-0-0": 1.0, "ours-2-0": 2.0, "ours-3-0": 3.0},
        *(cell("untouched", 0, 180), cell("ours", 2, 178), cell("ours", 3, 174)),
    )
    assert at(found, "ours", 1.0) == pytest.approx(2.0)  # loses 1 point
    assert at(found, "ours", 2.0) == pytest.approx(2.5)  # between 1 and 3 points
    assert at(found, "ours", 0.5) == pytest.approx(1.5)  # between the untouched network and the first point
    assert at(found, "ours", 9.0) == pytest.approx(3.0)
    assert found.reaches("ours", 2.0)
    assert not found.reaches("ours", 9.0)


def test_a_point_that_is_slower_and_worse_does_not_lower_a_curve() -> None:
    found = curves(
        {"untouched-0-0": 1.0, "ours-2-0": 1.5, "ours-3-0": 3.0},
        *(cell("untouched", 0, 180), cell("ours", 2, 150), cell("ours", 3, 179)),
    )
    assert at(found, "ours", 1.0) == pytest.approx(3.0)


def test_the_ratio_of_two_methods_has_an_interval(tmp_path: Path) -> None:
    cells = [cell("untouched", 0, 180), cell("ours", 2, 178), cell("ours", 3, 170)]
    cells += [
        cell("width", 0.3, 170),
        cell("taylor", 0.3, 179),
        {"case": "c", "method": "skip", "setting": 1, "seed": 0, "failed": "no"},
    ]
    speeds = {"untouched-0-0": 1.0, "ours-2-0": 2.0, "ours-3-0": 3.0, "width-0.3-0": 2.0}
    speeds["taylor-0.3-0"] = 1.5
    timings = tmp_path / "timings.json"
    timings.write_text(json.dumps({name: {"1": {"speedup": speed}} for name, speed in speeds.items()}))
    _, marks = rival_curves.report("c", cells, timings)
    rows = dict(zip(marks.columns[0].cells, marks.columns[4].cells, strict=True))  # ratios at 1 point
    assert rows["width"].startswith("1.67 (")  # 2.0 against 1.2
    assert rows["taylor"] == "not known"  # its curve ends before it loses a point
    assert list(marks.columns[0].cells) == ["ours", "taylor", "width"]


def test_a_small_form_of_the_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = Case("tests.networks:with_batch_norm", 1, 1, "digits", 24, 2, (1.01,), (0.25,), (0.004, 0.012))
    monkeypatch.setitem(CASES, "small", small)
    kept, models = tmp_path / "kept", tmp_path / "home" / "small"
    made = Bench(small, "", tmp_path / "home", kept / "plans", silent)
    for one in cells_of("small", ["ours", "width"], [0, 1]):
        work(one, made, kept, models)
    cells = [json.loads(path.read_text()) for path in sorted(kept.glob("*-*.json"))]
    assert {c["method"] for c in cells} == {"untouched", "ours", "width"}
    assert all(set(c["tried"]) == ({"0.004", "0.012"} if c["seed"] == 0 else set()) for c in cells)
    assert len({c["teacher_top1"] for c in cells}) == 1
    rates = {(c["method"], c["rate"]) for c in cells}
    assert len(rates) == 3  # a method's rate is found once
    ours = next(c for c in cells if c["method"] == "ours")
    assert ours["plan"]
    assert speedup_on(ours, "raspberry-pi-4", tmp_path / "home") > 1
    shutil.rmtree(models)
    timings = rival_curves.timings_in(kept, "other")
    rival_curves.time_all(cells, kept, timings)
    timed = json.loads(timings.read_text())
    assert set(timed) == {rival_curves.name_of(c) for c in cells}
