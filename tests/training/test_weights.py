"""Weights as training programs save them, and files that hold none."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from training import models
from training.errors import BadInputError

State = dict[str, Tensor]


@pytest.fixture(scope="module")
def state() -> State:
    return models.load("squeezenet1_1", classes=7, seed=5).model.state_dict()


def prefixed(state: State, prefix: str) -> State:
    return {prefix + name: tensor for name, tensor in state.items()}


def averaged(state: State) -> State:
    model = models.load("squeezenet1_1", classes=7).model
    model.load_state_dict(state)
    return AveragedModel(model).state_dict()


WRAPPED = {
    "model": lambda s: {"model": s, "epoch": 3, "loss": 0.5, "optimizer": {"state": {}, "param_groups": [1]}},
    "state_dict": lambda s: {"state_dict": s},
    "model_state_dict": lambda s: {"model_state_dict": s, "step": torch.tensor(3)},
    "nested": lambda s: {"model": {"state_dict": s}},
    "another name": lambda s: {"generator": s, "epoch": 3},
    "averaged": lambda s: {"state_dict": prefixed(s, "not.this."), "state_dict_ema": s},
    "DataParallel": lambda s: prefixed(s, "module."),
    "torch.compile": lambda s: prefixed(s, "_orig_mod."),
    "Lightning": lambda s: {"state_dict": prefixed(s, "model.")},
    "both": lambda s: prefixed(s, "module._orig_mod."),
    "torch's average": averaged,
}


@pytest.mark.parametrize("how", WRAPPED)
def test_wrapped_weights_are_found(how: str, state: State, tmp_path: Path) -> None:
    torch.save(WRAPPED[how](state), tmp_path / "w.pth")
    loaded = models.load("squeezenet1_1", str(tmp_path / "w.pth")).model.state_dict()
    assert all(torch.equal(loaded[name], state[name]) for name in state)


def test_endings_may_be_in_capitals(state: State, tmp_path: Path) -> None:
    save_file(state, tmp_path / "W.SAFETENSORS")
    assert models.load("squeezenet1_1", str(tmp_path / "W.SAFETENSORS")).trained
    with pytest.raises(BadInputError, match="no ONNX model"):
        (tmp_path / "NET.ONNX").write_text("text")
        models.load(str(tmp_path / "NET.ONNX"))


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (b"", "are an empty file"),
        (b"some text", "cannot be read"),
        ({}, r"no state dict \(nothing\)"),
        ({0: torch.zeros(2)}, r"no state dict \(the entries 0\)"),
        ({"epoch": 3, "lr": 0.1}, r"no state dict \(the entries epoch, lr\)"),
        ([torch.zeros(2)], r"no state dict \(a list\)"),
        ({"model": {}}, "no state dict"),
        ({"a": {"x": torch.zeros(2)}, "b": {"x": torch.zeros(2)}}, r"no state dict \(the entries a, b\)"),
        ({"module.other": torch.zeros(2)}, "do not belong to squeezenet1_1"),
        (nn.Linear(2, 2), "more than tensors"),
    ],
)
def test_what_is_no_state_dict_is_named(value: Any, words: str, tmp_path: Path) -> None:
    path = tmp_path / "w.pt"
    path.write_bytes(value) if isinstance(value, bytes) else torch.save(value, path)
    with pytest.raises(BadInputError, match=words):
        models.load("squeezenet1_1", str(path))


def test_a_damaged_file_is_named(state: State, tmp_path: Path) -> None:
    torch.save(state, tmp_path / "w.pt")
    whole = (tmp_path / "w.pt").read_bytes()
    for share in (3, 2):
        (tmp_path / "w.pt").write_bytes(whole[: len(whole) // share])
        with pytest.raises(BadInputError, match=r"w.pt cannot be read"):
            models.load("squeezenet1_1", str(tmp_path / "w.pt"))
    save_file({}, tmp_path / "none.safetensors")
    with pytest.raises(BadInputError, match="no state dict"):
        models.load("squeezenet1_1", str(tmp_path / "none.safetensors"))
