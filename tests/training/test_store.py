"""Shelves keep weights under names, here or in object storage."""

import uuid
from pathlib import Path

import pytest
import torch

from tests.program import run
from training.store import WeightStore


@pytest.fixture(params=["folder", "memory"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / "a b") if request.param == "folder" else f"memory://{uuid.uuid4()}"


def test_what_is_written_is_read_by_others(address: str) -> None:
    weights = {"w": torch.rand(3, 2), "b": torch.tensor(5)}
    assert WeightStore(address).read("of/one") is None
    WeightStore(address).write("of/one", weights, {"why": "because"})
    WeightStore(address).write("of/two", {"w": torch.zeros(1)})
    found = WeightStore(address).read("of/one")
    assert found is not None
    assert found[1] == {"why": "because"}
    assert all(torch.equal(found[0][name], value) for name, value in weights.items())
    two = WeightStore(address).read("of/two")
    assert two is not None
    assert two[1] == {}


def test_damaged_files_count_as_absent(address: str) -> None:
    store = WeightStore(address)
    store.write("one", {"w": torch.rand(30)})
    path = f"{store.root}/one.safetensors"
    store.system.pipe_file(path, store.system.cat_file(path)[:50])
    assert store.read("one") is None


def test_the_program_refuses_such_a_bank_before_any_work(tmp_path: Path) -> None:
    done = run("search", "--bank", "nope://bucket/bank", home=tmp_path)
    assert done.returncode == 2
    assert "nope://bucket/bank cannot be used" in done.stderr
    assert not (tmp_path / "teachers").exists()


def test_the_program_refuses_a_place_where_nothing_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = run("search", "--bank", tmp_path / "file" / "bank", home=tmp_path / "home")
    assert done.returncode == 2
    assert f"cannot be written to {tmp_path / 'file' / 'bank'}" in done.stderr
    assert "trials" not in done.stderr


def test_a_checked_place_is_left_as_it_was(address: str) -> None:
    store = WeightStore(address)
    store.check()
    assert not store.system.find(store.root)
