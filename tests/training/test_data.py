"""Images: splits, labels, and what is wrong with a folder said plainly."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.photos import photos
from training import source
from training.data.loading import DataSpec, load
from training.errors import BadInputError


def test_digits_are_split_by_class_and_the_same_every_time() -> None:
    one, other = load(DataSpec(input_size=16)), load(DataSpec(input_size=16))
    assert (len(one.train), len(one.proxy), len(one.test)) == (898, 449, 450)
    assert torch.equal(one.train.pixels, other.train.pixels)
    assert one.fingerprint == other.fingerprint != load(DataSpec(input_size=16, seed=1)).fingerprint
    for split in (one.train, one.proxy, one.test):
        shares = torch.bincount(split.labels).float() / len(split)
        assert (shares - 0.1).abs().max() < 0.01


def test_a_folder_is_read_resized_and_split(tmp_path: Path) -> None:
    data = load(DataSpec(f"imagefolder:{photos(tmp_path / 'p', 10)}", input_size=24))
    assert data.classes == ("cat", "dog")
    assert data.train.pixels.shape[1:] == (3, 24, 24)
    assert data.train.pixels.dtype == torch.uint8
    assert len(data.train) + len(data.proxy) + len(data.test) == 20


def test_train_and_val_folders_are_kept_apart(tmp_path: Path) -> None:
    photos(tmp_path / "p" / "train", 20)
    photos(tmp_path / "p" / "val", 3)
    data = load(DataSpec(f"imagefolder:{tmp_path / 'p'}", input_size=16))
    assert (len(data.train), len(data.proxy), len(data.test)) == (36, 4, 6)
    assert not data.test_is_proxy


def test_a_corrupt_image_is_named_left_out_and_counted(tmp_path: Path) -> None:
    folder = photos(tmp_path / "p", 10)
    (folder / "cat" / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 not a photo")
    whole = (folder / "dog" / "0.png").read_bytes()
    (folder / "dog" / "cut.png").write_bytes(whole[: len(whole) // 2])
    data = load(DataSpec(f"imagefolder:{folder}", input_size=16))
    assert sorted(Path(path).name for path in data.dropped) == ["broken.jpg", "cut.png"]
    assert len(data.train) + len(data.proxy) + len(data.test) == 20


def test_labels_give_the_outputs_of_the_folders(tmp_path: Path) -> None:
    learn, judge = photos(tmp_path / "a", 3, ("ant", "bee", "cat")), photos(tmp_path / "b", 2, ("cat",))
    (tmp_path / "names.txt").write_text("bee a striped one\ncat\nant\n")
    data = load(DataSpec(f"imagefolder:{learn}", f"imagefolder:{judge}", str(tmp_path / "names.txt"), 16))
    assert data.classes == ("bee", "cat", "ant")
    assert data.test.labels.tolist() == [1, 1]
    assert data.test_is_proxy
    assert len(data.train) == 9
    assert len(set(data.train.labels[:3].tolist())) > 1, "the first images are all of one class"


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("photos", "expected digits, imagefolder:DIR"),
        ("imagefolder:/nowhere", "/nowhere is no folder"),
        ("imagefolder:{empty}", "holds no"),
        ("imagefolder:{unreadable}", "no readable image"),
    ],
)
def test_data_that_cannot_be_had_is_named(spec: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "unreadable" / "cat").mkdir(parents=True)
    (tmp_path / "unreadable" / "cat" / "a.jpg").write_bytes(b"nothing")
    spec = spec.format(empty=tmp_path / "empty", unreadable=tmp_path / "unreadable")
    with pytest.raises(BadInputError, match=words):
        load(DataSpec(spec, input_size=16))


def test_a_folder_that_is_no_class_is_named(tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_text("cat\n")
    spec = DataSpec(
        f"imagefolder:{photos(tmp_path / 'p')}", labels=str(tmp_path / "names.txt"), input_size=16
    )
    with pytest.raises(BadInputError, match="'dog' is no class"):
        load(spec)


def test_images_that_are_learned_on_do_not_judge(tmp_path: Path) -> None:
    for part, numbers in (("learn", range(12)), ("judge", range(8, 20))):
        for number in numbers:
            folder = tmp_path / part / f"class{number % 2}"
            folder.mkdir(parents=True, exist_ok=True)
            pixels = np.random.default_rng(number).integers(0, 256, (20, 20, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / f"{number}.png")
    learn, judge = (f"imagefolder:{tmp_path / part}" for part in ("learn", "judge"))
    data = load(DataSpec(learn, judge, input_size=16))
    assert (len(data.train), len(data.proxy), data.repeated) == (12, 8, 4)
    assert any("4 evaluation image(s) left out" in remark for remark in data.remarks())
    with pytest.raises(BadInputError, match="would mean nothing"):
        load(DataSpec(learn, learn, input_size=16))


def test_images_without_labels_are_learned_on_where_others_judge(tmp_path: Path) -> None:
    judge = photos(tmp_path / "judge", 5)
    photos(tmp_path / "loose", 12, (".",))
    data = load(DataSpec(f"imagefolder:{tmp_path / 'loose'}", f"imagefolder:{judge}", input_size=16))
    assert (len(data.train), len(data.test)) == (12, 10)
    assert data.classes == ("cat", "dog")
    assert not data.train.labelled
    assert data.test.labelled


def test_images_without_labels_are_split_and_judge_as_well(tmp_path: Path) -> None:
    judge = photos(tmp_path / "judge", 5)
    photos(tmp_path / "loose", 20, (".",))
    data = load(DataSpec(f"imagefolder:{tmp_path / 'loose'}", input_size=16))
    assert (len(data.train), len(data.proxy), len(data.test)) == (14, 3, 3)
    assert data.classes == ()
    assert "no labels; 14 images to learn on" in data.summary()
    other = load(DataSpec(f"imagefolder:{judge}", f"imagefolder:{tmp_path / 'loose'}", input_size=16))
    assert (len(other.train), len(other.test), other.test.labelled) == (10, 20, False)


class Noise:
    """A dataset as users write them: pairs of image and class."""

    def __len__(self) -> int:
        return 20

    def __getitem__(self, number: int) -> tuple[Image.Image, int]:
        pixels = np.random.default_rng(number).integers(0, 256, (30, 40), dtype=np.uint8)
        return Image.fromarray(pixels), number % 3


def test_a_dataset_of_the_users_own() -> None:
    data = load(DataSpec("tests.training.test_data:Noise", input_size=16))
    assert data.train.pixels.shape[1:] == (3, 16, 16)
    assert len(data.train) + len(data.proxy) + len(data.test) == 20
    assert data.classes == ("0", "1", "2")
    with pytest.raises(BadInputError, match="torchvision:NAME:DIR"):
        load(DataSpec("nowhere:Nothing"))
    with pytest.raises(BadInputError, match="torchvision:NAME:DIR"):
        load(DataSpec("torchvision:NoSuchSet:/tmp"))


@pytest.mark.parametrize("name", sorted(source.discover()))
def test_every_source_says_what_it_is_and_refuses_what_it_has_not(name: str) -> None:
    found = source.discover()[name]
    assert found.form.startswith(name)
    assert 0 < found.habits.held_out < 1
    images = torch.zeros(2, 3, 16, 16, dtype=torch.uint8)
    changed = found.habits.change(images)
    assert (changed.shape, changed.dtype) == (images.shape, images.dtype)
    with pytest.raises(BadInputError, match=r"expected|all there is"):
        found.open(f"{name}:/nowhere")


def test_a_torchvision_dataset(tmp_path: Path) -> None:
    photos(tmp_path, per_class=10)
    by_name, by_folder = (
        load(DataSpec(f"{kind}:{tmp_path}", input_size=16))
        for kind in ("torchvision:ImageFolder", "imagefolder")
    )
    assert torch.equal(by_name.train.pixels, by_folder.train.pixels)
    assert by_name.classes == by_folder.classes
