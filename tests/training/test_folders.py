"""Folders as people have them: hidden ones, empty ones, splits under several names, and labels for them."""

import shutil
from pathlib import Path

import pytest
import torch
from PIL import Image

from tests.photos import photos
from training.data.dataset import Data
from training.data.loading import DataSpec, load
from training.errors import BadInputError


def of(folder: Path, **more: object) -> Data:
    return load(DataSpec(f"imagefolder:{folder}", input_size=16, **more))  # type: ignore[arg-type]


def test_hidden_files_and_folders_count_for_nothing(tmp_path: Path) -> None:
    folder = photos(tmp_path / "p", 10)
    plain = of(folder)
    for name in (".ipynb_checkpoints", "__MACOSX", "__pycache__", "cat/.thumbnails"):
        (folder / name).mkdir()
        shutil.copy(folder / "cat" / "0.png", folder / name / "copy.png")
    (folder / "dog" / "._0.png").write_bytes(b"what macOS leaves behind")
    again = of(folder)
    assert again.classes == plain.classes == ("cat", "dog")
    assert again.fingerprint == plain.fingerprint
    assert not again.remarks()


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a_empty", None, "a_empty is empty"),
        ("b_gifs", "x.gif", "b_gifs holds no image that is read, but 1 .gif"),
        ("c_broken", "x.png", "c_broken holds no readable image"),
    ],
)
def test_a_class_without_images_is_named_and_moves_no_label(
    name: str, content: str | None, words: str, tmp_path: Path
) -> None:
    folder = photos(tmp_path / "p", 10)
    plain = of(folder)
    (folder / name).mkdir()
    if content:
        (folder / name / content).write_bytes(b"GIF89a")
    data = of(folder)
    assert data.classes == ("cat", "dog")
    assert data.train.labels.tolist() == plain.train.labels.tolist()
    assert any(words in remark for remark in data.remarks())


def test_images_that_are_passed_over_are_named(tmp_path: Path) -> None:
    folder = photos(tmp_path / "p", 10)
    Image.new("RGB", (20, 20)).save(folder / "cat" / "extra.gif")
    Image.new("RGB", (20, 20)).save(folder / "loose.png")
    (folder / "cat" / "notes.txt").write_text("no image, and none of anybody's business")
    said = "\n".join(of(folder).remarks())
    assert "1 image(s) directly in" in said
    assert "1 image(s) of kinds that are not read (.gif)" in said
    assert "notes.txt" not in said


def test_a_folder_of_nothing_that_is_read_says_what_it_holds(tmp_path: Path) -> None:
    (tmp_path / "p" / "cat").mkdir(parents=True)
    Image.new("RGB", (20, 20)).save(tmp_path / "p" / "cat" / "a.gif")
    with pytest.raises(BadInputError, match=r"holds no images \(cat holds no image that is read, but 1 .gif"):
        of(tmp_path / "p")


@pytest.mark.parametrize(
    ("judges", "proxy", "test"),
    [
        (("val",), 4, 6),
        (("Validation",), 4, 6),
        (("TEST",), 4, 6),
        (("valid", "test"), 6, 6),
    ],
)
def test_splits_are_known_by_their_names(
    judges: tuple[str, ...], proxy: int, test: int, tmp_path: Path
) -> None:
    photos(tmp_path / "p" / "Train", 20)
    for name in judges:
        photos(tmp_path / "p" / name, 3)
    data = of(tmp_path / "p")
    assert data.classes == ("cat", "dog")
    assert (len(data.proxy), len(data.test)) == (proxy, test)
    assert len(data.train) == 40 - (proxy if len(judges) == 1 else 0)
    assert not data.test_is_proxy


def test_of_three_splits_val_judges_and_test_has_the_final_word(tmp_path: Path) -> None:
    for name, count in (("train", 10), ("val", 3), ("test", 5)):
        photos(tmp_path / "p" / name, count)
    photos(tmp_path / "p", 2, ("extra",))
    data = of(tmp_path / "p")
    assert (len(data.train), len(data.proxy), len(data.test)) == (20, 6, 10)
    assert any("extra" in remark for remark in data.remarks())


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (("train", "val", "valid"), r"val and valid.*rename or remove one"),
        (("test", "val"), r"but no train; rename"),
        (("train",), r"train alone; give imagefolder:.*train"),
    ],
)
def test_splits_that_are_not_clear_are_refused(names: tuple[str, ...], words: str, tmp_path: Path) -> None:
    for name in names:
        photos(tmp_path / "p" / name, 3)
    with pytest.raises(BadInputError, match=words):
        of(tmp_path / "p")


def test_splits_are_never_classes(tmp_path: Path) -> None:
    for name in ("train", "test"):
        photos(tmp_path / "p" / name, 6)
    with pytest.raises(BadInputError, match="splits of a data set"):
        load(DataSpec(f"torchvision:ImageFolder:{tmp_path / 'p'}", input_size=16))
    judge = photos(tmp_path / "judge", 3)
    with pytest.raises(BadInputError, match="holds train and test"):
        of(tmp_path / "p", eval_data=f"imagefolder:{judge}")
    with pytest.raises(BadInputError, match="holds train and test"):
        of(judge, eval_data=f"imagefolder:{tmp_path / 'p'}")
    vehicles = photos(tmp_path / "vehicles", 10, ("bus", "train"))
    assert of(vehicles).classes == ("bus", "train")


def test_images_that_judge_are_known_by_the_names_of_their_classes(tmp_path: Path) -> None:
    learn, judge = photos(tmp_path / "a", 6, ("ant", "bee", "cat")), photos(tmp_path / "b", 2, ("bee",))
    data = of(learn, eval_data=f"imagefolder:{judge}")
    assert data.classes == ("ant", "bee", "cat")
    assert data.test.labels.tolist() == [1, 1]
    other = photos(tmp_path / "c", 2, ("yak",))
    with pytest.raises(BadInputError, match="'yak'"):
        of(learn, eval_data=f"imagefolder:{other}")


def test_labels_may_hold_spaces_and_a_byte_order_mark(tmp_path: Path) -> None:
    folder = photos(tmp_path / "p", 10, ("golden eagle", "golden retriever", "n01440764"))
    names = tmp_path / "names.txt"
    names.write_text("golden retriever\nn01440764 tench, Tinca tinca\ngolden eagle\n", "utf-8-sig")
    data = of(folder, labels=str(names))
    assert data.classes == ("golden retriever", "n01440764 tench, Tinca tinca", "golden eagle")
    labels = torch.cat([data.train.labels, data.proxy.labels, data.test.labels])
    assert torch.bincount(labels).tolist() == [10, 10, 10]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("cat\ndog\ncat\n", "holds the line 'cat' twice"),
        ("\n \n", "names no class"),
        ("dog\ncat a\ncat b\n", "'cat' is the beginning of 2 classes"),
    ],
)
def test_labels_that_are_not_clear_are_refused(text: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_text(text)
    with pytest.raises(BadInputError, match=words):
        of(photos(tmp_path / "p", 3), labels=str(tmp_path / "names.txt"))


def test_what_was_found_is_said_in_one_line(tmp_path: Path) -> None:
    learn, judge = photos(tmp_path / "a", 10), photos(tmp_path / "b", 3)
    photos(tmp_path / "loose", 1, (".",))
    assert of(learn).summary() == (
        f"imagefolder:{learn}: 2 classes; 14 images to learn on, 3 to judge plans, 3 for the final word"
    )
    loose = of(tmp_path / "loose", eval_data=f"imagefolder:{judge}")
    assert loose.summary() == (
        f"imagefolder:{tmp_path / 'loose'}, judged by imagefolder:{judge}: 2 classes; "
        "1 image without labels to learn on, 6 to judge plans and for the final word"
    )
