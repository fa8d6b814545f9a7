"""A network and its images: whether they fit, and what is said about them before anything begins."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from search.results.planfile import PlanFile
from tests import networks
from tests.photos import photos
from training.config import ModelConfig
from training.data.preprocess import CAFFE, IMAGENET
from training.errors import BadInputError
from training.export import annotate, to_onnx
from training.progress import Session
from training.workbench import structure, workbench

TEN = "tests.networks:with_lrn"  # outputs


def maps() -> nn.Module:
    """A network that answers with maps."""
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())


def test_a_network_that_is_no_classifier_is_judged_by_its_answers(tmp_path: Path) -> None:
    name = "tests.training.test_workbench:maps"
    assert structure(name, (24, 40)).input_shape == (3, 24, 40)
    said: list[str] = []
    made = workbench(ModelConfig(model=name), Session(tmp_path, note=said.append))
    assert made.metric == "answers"
    assert any("by how much of the answers they keep" in line and "output 1x4x62x62" in line for line in said)
    with pytest.raises(BadInputError, match=r"`metric` top1 needs one vector.*or `metric` answers"):
        workbench(ModelConfig(model=name, metric="top1"), Session(tmp_path))


def test_how_images_are_given_to_the_network_is_said_and_told_apart(tmp_path: Path) -> None:
    said: list[str] = []
    setup = ModelConfig(model=TEN, input_size=24)
    as_usual = workbench(setup, Session(tmp_path, note=said.append))
    assert [line for line in said if "given images" in line] == [
        f"{TEN} is given images as torchvision's networks are (0.485,0.456,0.406/0.229,0.224,0.225: mean and "
        "deviation of RGB of 0-1); `preprocess` says otherwise"
    ]
    said.clear()
    other = workbench(setup.model_copy(update={"preprocess": "0/1"}), Session(tmp_path, note=said.append))
    assert not any("given images" in line for line in said)
    assert other.data.fingerprint == as_usual.data.fingerprint
    assert other.images_fingerprint != as_usual.images_fingerprint


def test_an_exported_file_says_itself_how_it_is_given_images(tmp_path: Path) -> None:
    path, said = tmp_path / "m.onnx", list[str]()
    to_onnx(networks.with_batch_norm(), (3, 24, 24), path)
    for steps, known in ((None, IMAGENET), (CAFFE.steps(), CAFFE), ({"mean": "high"}, IMAGENET)):
        annotate(path, {} if steps is None else {"preprocess": steps})
        made = workbench(ModelConfig(model=str(path), data="digits"), Session(tmp_path, note=said.append))
        pixels = made.data.test.pixels[:2]
        torch.testing.assert_close(made.preprocess(pixels), known(pixels), rtol=1e-4, atol=1e-3)
        assert ("as its metadata say" in "".join(said)) == (known is CAFFE)
        said.clear()


def test_a_classifier_of_images_without_labels_is_judged_by_its_answers(tmp_path: Path) -> None:
    folder = photos(tmp_path / "p", 12, (".",))
    setup = ModelConfig(model=TEN, data=f"imagefolder:{folder}", input_size=24)
    said: list[str] = []
    assert workbench(setup, Session(tmp_path, note=said.append)).metric == "answers"
    assert any("have no labels" in line for line in said)
    with pytest.raises(BadInputError, match=r"have no labels, and `metric` expected needs them"):
        workbench(setup.model_copy(update={"metric": "expected"}), Session(tmp_path))


class Places(nn.Module):
    """Answers with the place of the largest value."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)

    def forward(self, image: Tensor) -> Tensor:
        return self.conv(image).argmax(1)


def test_whole_numbers_cannot_be_learned_from(tmp_path: Path) -> None:
    setup = ModelConfig(model="tests.training.test_workbench:Places")
    with pytest.raises(BadInputError, match=r"the output output of .*Places holds whole numbers \(int64\)"):
        workbench(setup, Session(tmp_path))


@pytest.mark.parametrize("count", [2, 12])
def test_classes_that_are_not_the_outputs_are_counted(count: int, tmp_path: Path) -> None:
    names = tuple(f"class{number:02}" for number in range(count))
    folder = photos(tmp_path / "p", 6, names)
    setup = ModelConfig(model=TEN, data=f"imagefolder:{folder}", input_size=24)
    with pytest.raises(BadInputError, match=rf"10 outputs but imagefolder:.*p has {count} classes"):
        workbench(setup, Session(tmp_path))
    (tmp_path / "names.txt").write_text("\n".join([*names, "one more"]))
    labelled = setup.model_copy(update={"labels": str(tmp_path / "names.txt")})
    with pytest.raises(BadInputError, match=rf"10 outputs but .*names.txt names {count + 1} classes"):
        workbench(labelled, Session(tmp_path))


def test_what_was_found_is_told_before_anything_is_refused(tmp_path: Path) -> None:
    folder = photos(tmp_path / "p", 10)
    (folder / "empty").mkdir()
    told: list[str] = []
    with pytest.raises(BadInputError, match="2 classes"):
        setup = ModelConfig(model=TEN, data=f"imagefolder:{folder}", input_size=24)
        workbench(setup, Session(tmp_path, note=told.append))
    assert "2 classes; 14 images to learn on, 3 to judge plans, 3 for the final word" in told[0]
    assert "empty is empty" in told[1]


def test_one_class_is_nothing_to_learn(tmp_path: Path) -> None:
    setup = ModelConfig(
        model="squeezenet1_1", data=f"imagefolder:{photos(tmp_path / 'p', 10, ('all',))}", input_size=32
    )
    with pytest.raises(BadInputError, match="one class, 'all'"):
        workbench(setup, Session(tmp_path))


@pytest.mark.parametrize("size", [None, 64, (48, 192), (1, 28, 28)])
def test_sizes_survive_a_file(size: int | tuple[int, ...] | None) -> None:
    setup = ModelConfig(input_size=size)
    assert ModelConfig.model_validate_json(setup.model_dump_json()) == setup


@pytest.mark.parametrize(
    ("shape", "size"), [((3, 64, 64), 64), ((3, 48, 192), (48, 192)), ((1, 28, 28), (1, 28, 28))]
)
def test_a_plan_knows_the_whole_shape(
    shape: tuple[int, int, int], size: int | tuple[int, ...], tmp_path: Path
) -> None:
    plan = PlanFile(
        plan_id="p",
        network=TEN,
        fingerprint="f",
        input_shape=shape,
        target="arm-a57",
        latency_ms=1,
        baseline_latency_ms=1,
        speedup=1,
        kind="measured",
        basis="nothing",
        choices={},
    )
    plan.save(tmp_path / "plan.json")
    loaded = PlanFile.load(tmp_path / "plan.json")
    assert loaded.setup_with({"data": "digits"}, trust=True).input_size == size
