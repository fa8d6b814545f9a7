"""Models by name, and weights that are not theirs."""

from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from latency_models.kernel import Kernel
from latency_models.onnx_model import one_kernel_model
from merges.network import analyse
from training import models
from training.data.preprocess import SYMMETRIC, Preprocess
from training.errors import BadInputError
from training.export import to_onnx
from training.models import own_inputs


def test_builtin_torchvision_and_factory_models_load() -> None:
    assert models.load("bvlc_googlenet").model(torch.zeros(1, 3, 64, 64)).shape == (1, 1000)
    assert models.load("squeezenet1_1", classes=7).model(torch.zeros(1, 3, 64, 64)).shape == (1, 7)
    loaded = models.load("tests.networks:with_lrn")
    assert loaded.trained
    assert loaded.model(torch.zeros(1, 3, 24, 24)).shape == (1, 10)


def test_random_weights_repeat_with_the_seed() -> None:
    one, same, other = (models.load("squeezenet1_1", classes=3, seed=s).model.state_dict() for s in (0, 0, 1))
    assert all(torch.equal(one[key], same[key]) for key in one)
    assert not all(torch.equal(one[key], other[key]) for key in one)


@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
def test_weights_bring_their_number_of_classes(suffix: str, tmp_path: Path) -> None:
    state = models.load("squeezenet1_1", classes=7).model.state_dict()
    path = tmp_path / f"w{suffix}"
    save_file(state, path) if suffix == ".safetensors" else torch.save({"state_dict": state}, path)
    loaded = models.load("squeezenet1_1", str(path))
    assert loaded.trained
    assert loaded.model(torch.zeros(1, 3, 64, 64)).shape == (1, 7)


class Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return print, ("code in a weights file was run",)


def test_weights_that_do_not_fit_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    state = models.load("squeezenet1_1", classes=7).model.state_dict()
    save_file(state, tmp_path / "squeeze.safetensors")
    (tmp_path / "broken.safetensors").write_bytes(b"nothing")
    torch.save(Evil(), tmp_path / "evil.pt")
    for name, words in {
        "squeeze.safetensors": "do not belong to resnet18",
        "broken.safetensors": "cannot be read",
        "evil.pt": "more than tensors",
        "absent.pt": "do not exist",
    }.items():
        with pytest.raises(BadInputError, match=words):
            models.load("resnet18", str(tmp_path / name))
    assert "was run" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("googlenett", "did you mean googlenet"),
        ("no.such:thing", "did not give a model"),
        ("tests.networks:Tensor", "returned a Tensor"),
    ],
)
def test_unknown_models_are_named_with_a_hint(name: str, words: str) -> None:
    with pytest.raises(BadInputError, match=words):
        models.load(name)


def bands() -> nn.Module:
    """A network of two channels, not in evaluation mode."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.AdaptiveAvgPool2d(1), nn.Flatten()).train()


def in_parallel() -> nn.Module:
    return nn.DataParallel(bands())


def compiled() -> nn.Module:
    return torch.compile(nn.DataParallel(bands()))  # type: ignore[return-value]


@pytest.mark.parametrize("factory", [bands, in_parallel, compiled])
def test_wrappers_of_a_network_make_no_difference(factory: Callable[[], nn.Module], tmp_path: Path) -> None:
    state = {name: tensor + 1 for name, tensor in bands().state_dict().items()}
    torch.save(state, tmp_path / "w.pt")
    name = f"tests.training.test_models:{factory.__name__}"
    loaded = models.load(name, str(tmp_path / "w.pt"))
    assert loaded.input_shape == (2, 224, 224)
    assert not any(module.training for module in loaded.model.modules())
    plain = bands().eval()
    plain.load_state_dict(state)
    images = torch.randn(2, 2, 16, 16)
    assert torch.allclose(loaded.model(images), plain(images))


def test_the_size_of_images_is_the_users_and_then_the_networks_own() -> None:
    name = "tests.training.test_models:bands"
    for size, shape in {
        None: (2, 224, 224),
        32: (2, 32, 32),
        (24, 48): (2, 24, 48),
        (3, 24, 48): (3, 24, 48),
    }.items():
        loaded = models.load(name, input_size=size)
        assert loaded.input_shape == shape
        assert len(loaded.preprocess.mean) == shape[0]
    assert models.load("bvlc_alexnet").input_shape == (3, 227, 227)
    assert models.load("inception_v3", input_size=None).input_shape == (3, 299, 299)
    with pytest.raises(BadInputError, match="'caffe' is for 3"):
        models.load("bvlc_googlenet", input_size=(1, 64, 64))


def like_timms() -> nn.Module:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten())
    network.pretrained_cfg = {"mean": (0.5, 0.4, 0.3), "std": (0.2, 0.2, 0.1), "input_size": (3, 96, 128)}
    return network


def test_images_are_given_as_the_network_says_and_the_user_before_it() -> None:
    name = "tests.training.test_models:like_timms"
    loaded = models.load(name)
    assert loaded.preprocess == Preprocess((0.5, 0.4, 0.3), (0.2, 0.2, 0.1))
    assert loaded.input_shape == (3, 96, 128)
    assert "as its pretrained_cfg says (0.5,0.4,0.3/0.2,0.2,0.1:" in loaded.fed
    others = models.load(name, preprocess="0/1", input_size=32)
    assert others.preprocess == Preprocess((0.0,) * 3, (1.0,) * 3)
    assert (others.input_shape, others.fed) == ((3, 32, 32), "")
    silent = models.load("tests.training.test_models:bands")
    assert "as torchvision's networks are" in silent.fed
    assert own_inputs.of_torchvision("efficientnet_v2_l") == (SYMMETRIC, 480)


def test_an_onnx_file_is_read_as_the_network_it_came_from(tmp_path: Path) -> None:
    original = analyse("squeezenet1_1", models.load("squeezenet1_1", classes=7).model, (3, 64, 64))
    to_onnx(original.merged({}), original.input_shape, tmp_path / "net.onnx")
    loaded = models.load(str(tmp_path / "net.onnx"))
    assert (loaded.input_size, loaded.trained) == (64, True)
    again = analyse("net", loaded.model, (3, 64, 64))
    images = torch.randn(3, 3, 64, 64)
    with torch.no_grad():
        assert torch.allclose(again.teacher(images), original.teacher(images), atol=1e-4)
    assert [(s.rule, s.names) for s in again.sites] == [(s.rule, s.names) for s in original.sites]


def test_files_that_are_no_networks_are_refused(tmp_path: Path) -> None:
    (tmp_path / "text.onnx").write_text("not a network")
    with pytest.raises(BadInputError, match="no ONNX model"):
        models.load(str(tmp_path / "text.onnx"))
    kernel = Kernel("conv", (8, 6, 6), (8, 6, 6), (3, 3), (1, 1), (1, 1))
    onnx.save(one_kernel_model(kernel), tmp_path / "odd.onnx")
    with pytest.raises(BadInputError, match="expected one input"):
        models.load(str(tmp_path / "odd.onnx"))
