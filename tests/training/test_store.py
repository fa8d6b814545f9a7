"""Weights are kept under names, here or in object storage; damaged ones are told and made again."""

import os
import subprocess
import uuid
from pathlib import Path

import pytest
import torch

from tests.program import run
from training.files import replacing, sweep
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


@pytest.mark.parametrize("damage", ["cut", "empty", "flipped", "renamed", "reshaped", "retyped"])
def test_damaged_and_foreign_files_count_as_absent_and_are_told(address: str, damage: str) -> None:
    said: list[str] = []
    store, wanted = WeightStore(address, said.append), {"w": torch.rand(30)}
    store.write("one", wanted, {"why": "because"})
    path = f"{store.root}/one.safetensors"
    data = bytearray(store.system.cat_file(path))
    if damage == "cut":
        store.system.pipe_file(path, bytes(data[:50]))
    elif damage == "empty":
        store.system.pipe_file(path, b"")
    elif damage == "flipped":
        data[-1] ^= 64
        store.system.pipe_file(path, bytes(data))
    else:
        others = {"renamed": {"v": torch.rand(30)}, "reshaped": {"w": torch.rand(3, 10)}}
        store.write("one", others.get(damage, {"w": torch.rand(30).half()}))
    assert store.read("one", wanted) is None
    assert len(said) == 1
    assert path in said[0] and "made again" in said[0]


def test_what_cannot_be_written_is_named_as_it_was_given(tmp_path: Path) -> None:
    path = tmp_path / f"{'long' * 60}.json"  # no file system takes it with a process's number in it
    with pytest.raises(OSError, match="too long") as told, replacing(path):
        pass
    assert told.value.filename == str(path)


def test_devices_are_written_to_and_links_are_followed(tmp_path: Path) -> None:
    pipe, link, file = tmp_path / "pipe", tmp_path / "link", tmp_path / "file"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    link.symlink_to(file)
    for path in (pipe, link):
        with replacing(path) as temporary:
            temporary.write_text("whole")
    assert os.read(reader, 9) == b"whole"
    os.close(reader)
    assert pipe.is_fifo()
    assert link.is_symlink()
    assert file.read_text() == "whole"


def test_places_that_are_none_are_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path, tmp_path / "file" / "plan.json"):
        with pytest.raises(OSError, match="folder") as told, replacing(path):
            pass
        assert told.value.filename == str(path)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_files_of_killed_processes_are_swept_and_others_left(tmp_path: Path) -> None:
    dead = subprocess.Popen(["true"])
    dead.wait()
    with replacing(tmp_path / "deep" / "w.safetensors") as mine:
        left = mine.with_name(mine.name.replace(f"-{os.getpid()}-", f"-{dead.pid}-"))
        left.touch()
        other = tmp_path / ".hidden"
        other.touch()
        sweep(tmp_path)
        assert mine.exists()
        assert other.exists()
        assert not left.exists()
        mine.write_bytes(b"whole")
    assert (tmp_path / "deep" / "w.safetensors").read_bytes() == b"whole"


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
