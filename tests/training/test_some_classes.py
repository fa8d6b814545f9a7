"""Only some classes are needed: the head is cut to them, and their images alone are used."""

import json
from pathlib import Path

import onnx
import pytest
import torch
from torch import Tensor, nn
from torchvision.models import mobilenet_v3_small, squeezenet1_1

from merges.reading.check import example_images
from tests.photos import photos
from tests.program import answer, run
from training import models, some_classes
from training.config import ModelConfig
from training.data.dataset import Data, Images
from training.data.preprocess import IMAGENET
from training.errors import BadInputError
from training.models import LoadedModel
from training.progress import Session
from training.workbench import workbench

SIZE = 32
TEN = "tests.networks:with_batch_norm"


class Tied(nn.Module):
    """The last layer with as many outputs is not the one that makes the scores."""

    def __init__(self, end: nn.Module) -> None:
        super().__init__()
        self.conv, self.end = nn.Conv2d(3, 7, 3), end
        self.scores, self.unused = nn.Linear(7, 7), nn.Linear(7, 7)

    def forward(self, image: Tensor) -> Tensor:
        scores: Tensor = self.end(self.scores(self.conv(image).relu().mean((2, 3))))
        return scores


NETWORKS = {
    "squeezenet": (squeezenet1_1, 1000),
    "mobilenet": (mobilenet_v3_small, 1000),
    "plain": (lambda: Tied(nn.Identity()), 7),
    "softmax": (lambda: Tied(nn.Softmax(1)), 7),
    "logarithms": (lambda: Tied(nn.LogSoftmax(1)), 7),
}


def loaded(model: nn.Module) -> LoadedModel:
    return LoadedModel("own", model.eval(), IMAGENET, SIZE, trained=True)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_cut_head_gives_the_scores_of_the_needed_classes(name: str) -> None:
    torch.manual_seed(0)
    build, outputs = NETWORKS[name]
    whole, kept = loaded(build()), [5, 0, 3]
    cut = some_classes.of_head(whole, kept, outputs)
    images = example_images((3, SIZE, SIZE), 6)
    wanted, made = whole.model(images)[:, kept], cut.model(images)
    if name == "softmax":
        wanted = wanted / wanted.sum(1, keepdim=True)
    if name == "logarithms":
        wanted = wanted.log_softmax(1)
    assert made.shape == (6, 3)
    assert torch.allclose(made, wanted, atol=1e-4 * float(wanted.detach().abs().max()))
    assert whole.model(images).shape == (6, outputs)  # untouched


def test_the_head_of_an_onnx_file_is_cut(tmp_path: Path) -> None:
    torch.manual_seed(0)
    path = tmp_path / "net.onnx"
    network = Tied(nn.Identity()).eval()
    torch.onnx.export(network, (torch.randn(1, 3, SIZE, SIZE),), path, dynamo=False)
    whole = models.load(str(path))
    images = example_images((3, SIZE, SIZE), 4)
    cut = some_classes.of_head(whole, [1, 6], 7)
    assert torch.allclose(cut.model(images), network(images)[:, [1, 6]], atol=1e-5)


class Mixed(nn.Module):
    """Every score depends on all others: no head can be cut."""

    def __init__(self) -> None:
        super().__init__()
        self.scores = nn.Linear(3 * SIZE * SIZE, 7)

    def forward(self, image: Tensor) -> Tensor:
        scores: Tensor = self.scores(image.flatten(1))
        return scores - scores.std(1, keepdim=True)


def test_heads_that_cannot_be_cut_are_refused() -> None:
    with pytest.raises(BadInputError, match="no layer of own can be cut to 2 of its 7 classes"):
        some_classes.of_head(loaded(Mixed()), [0, 1], 7)
    with pytest.raises(BadInputError, match="own has 7 outputs but the images are of 9 classes"):
        some_classes.of_head(loaded(Mixed()), [0, 1], 9)
    with pytest.raises(BadInputError, match=r"own returns 1x4x30x30: `classes` needs one vector"):
        some_classes.of_head(loaded(nn.Sequential(nn.Conv2d(3, 4, 3))), [0, 1], 4)


def images_of(*labels: int) -> Images:
    return Images(torch.arange(len(labels)).reshape(-1, 1, 1, 1).byte(), torch.tensor(labels))


def test_images_of_other_classes_are_left_out_and_unlabelled_ones_stay(tmp_path: Path) -> None:
    (tmp_path / "needed").write_text("fish\ncat\n")
    whole = Data(
        "own", images_of(0, 1, -1, 2, 2), images_of(1, 0, 2), images_of(2, 1), ("cat", "dog", "fish")
    )
    data, kept = some_classes.of_images(whole, str(tmp_path / "needed"))
    assert (kept, data.classes) == ([2, 0], ("fish", "cat"))
    assert data.train.labels.tolist() == [1, -1, 0, 0]
    assert data.train.pixels.flatten().tolist() == [0, 2, 3, 4]
    assert data.proxy.labels.tolist() == [1, 0]
    assert data.test.labels.tolist() == [0]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("cat\n", "names one class alone, or one twice"),
        ("cat\nbird\n", "'bird' is no class of own; expected names such as 'cat'"),
        ("", "names no class"),
        ("dog\nfish\n", "no image of own is of a class that"),
    ],
)
def test_files_of_classes_that_do_not_fit_are_refused(text: str, reason: str, tmp_path: Path) -> None:
    (tmp_path / "needed").write_text(text)
    whole = Data("own", images_of(0, 1, 2), images_of(0), images_of(0), ("cat", "dog", "fish"))
    with pytest.raises(BadInputError, match=reason):
        some_classes.of_images(whole, str(tmp_path / "needed"))


def test_images_without_classes_cannot_tell_which_are_needed(tmp_path: Path) -> None:
    (tmp_path / "needed").write_text("a\nb\n")
    folder = photos(tmp_path / "p", 12, (".",))
    setup = ModelConfig(model=TEN, data=f"imagefolder:{folder}", classes=str(tmp_path / "needed"))
    with pytest.raises(BadInputError, match=r"names classes, and the images of imagefolder:.* have none"):
        workbench(setup, Session(tmp_path))


def test_a_search_for_some_classes_ends_in_a_model_of_these(tmp_path: Path) -> None:
    (tmp_path / "needed").write_text("7\n1\n4\n")
    home, plan, out = tmp_path / "home", tmp_path / "plan.json", tmp_path / "model.onnx"
    small = ("--bank-steps", 5, "--proxy-steps", 2, "--bank-images", 32, "--budget", 3, "--study", "some")
    own = ("--model", TEN, "--input-size", 24, "--classes", tmp_path / "needed")
    done = run("search", *own, *small, home=home)
    assert done.returncode == 0, done.stderr
    assert "only 3 of 10 classes are needed" in done.stderr
    points = answer("front", "--study", "some", home=home)["points"]
    fastest = min(points, key=lambda point: point["latency_ms"])["trial"]
    assert run("plan", "--study", "some", "--trial", fastest, "--out", plan, home=home).returncode == 0
    assert json.loads(plan.read_text())["classes"] == 3
    assert run("plan", "show", plan, "--trust", home=home).returncode == 0
    run_folder = tmp_path / "run"
    done = run("train", "--plan", plan, "--epochs", 1, "--out", run_folder, "--trust", home=home)
    assert done.returncode == 0, done.stderr
    done = run("export", "--run", run_folder, "--out", out, "--trust", home=home)
    assert done.returncode == 0, done.stderr
    (scores,) = onnx.load(out).graph.output
    assert scores.type.tensor_type.shape.dim[1].dim_value == 3
