"""Images of any depth, shape and number of channels become the bytes that a network takes."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from tests.photos import photos
from training import sizes
from training.data.loading import DataSpec, load
from training.data.preprocess import BY_NAME, CAFFE, IMAGENET, Preprocess, named
from training.errors import BadInputError

RAMP = np.tile(np.linspace(0, 255, 36).astype(np.uint8), (36, 1))
DEEP = RAMP.astype(np.uint16) * 257


class Handed:
    """A dataset that hands out one thing six times."""

    item: Any = None

    def __len__(self) -> int:
        return 6

    def __getitem__(self, number: int) -> Any:
        return self.item, number % 2


class Black(Handed):
    """Images that judge."""


def handed(item: Any, channels: int = 3) -> Tensor:
    """What becomes of it."""
    Handed.item, Black.item = item, torch.zeros(channels, 30, 30)
    learn, judge = (f"tests.training.test_pixels:{name}" for name in ("Handed", "Black"))
    return load(DataSpec(learn, judge, input_size=32, channels=channels)).train.pixels


@pytest.mark.parametrize(
    ("name", "values"), [("a.png", DEEP), ("a.tif", DEEP), ("a.tif", DEEP / np.float32(65535))]
)
def test_files_of_more_than_8_bits_are_scaled_and_not_clipped(
    name: str, values: np.ndarray, tmp_path: Path
) -> None:
    judge = photos(tmp_path / "judge", 3)
    seen: list[Tensor] = []
    for folder, file, pixels in (("plain", "a.png", RAMP), ("deep", name, values)):
        (tmp_path / folder).mkdir()
        Image.fromarray(pixels).save(tmp_path / folder / file)
        spec = DataSpec(f"imagefolder:{tmp_path / folder}", f"imagefolder:{judge}", input_size=32)
        seen.append(load(spec).train.pixels.int())
    assert (seen[0] - seen[1]).abs().max() <= 1


@pytest.mark.parametrize(
    "item",
    [
        Image.fromarray(DEEP),
        Image.fromarray(RAMP.astype(np.int32)),
        Image.fromarray(RAMP.astype(np.float32)),
        DEEP,
        DEEP[..., None],
        torch.tensor(RAMP)[None] / 255,
        torch.tensor(RAMP)[None].half() / 255,
        torch.tensor(RAMP).long().expand(3, -1, -1),
        np.stack([RAMP] * 3, axis=-1),
    ],
    ids=["I;16", "I", "F", "uint16", "uint16 with a channel", "float", "half", "long", "8 bits"],
)
def test_datasets_may_hand_out_any_depth(item: Any) -> None:
    found, plain = handed(item), handed(Image.fromarray(RAMP))
    assert found.shape[1:] == (3, 32, 32)
    assert (found.int() - plain.int()).abs().max() <= 1


@pytest.mark.parametrize(
    ("item", "words"),
    [
        (torch.randn(3, 30, 30), "before any standardising"),
        (torch.full((3, 30, 30), float("nan")), "values from nan"),
        (torch.zeros(2, 3, 30, 30), "shape 2x3x30x30"),
        ({"image": 1}, "is a dict"),
        (torch.zeros(5, 30, 30), "5 channels and the network takes 3"),
    ],
)
def test_what_is_no_image_is_named(item: Any, words: str) -> None:
    with pytest.raises(BadInputError, match=words):
        handed(item)


@pytest.mark.parametrize("label", ["cat", torch.zeros(3), -3])
def test_what_is_no_class_number_is_named(label: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Handed, "__getitem__", lambda self, number: (RAMP, label))
    with pytest.raises(BadInputError, match=r"number 0 has the"):
        handed(RAMP)


def test_greyscale_networks_see_greyscale_images(tmp_path: Path) -> None:
    folder = photos(tmp_path / "p", 10)
    colours = load(DataSpec(f"imagefolder:{folder}", input_size=24))
    grey = load(DataSpec(f"imagefolder:{folder}", input_size=24, channels=1))
    assert grey.train.pixels.shape[1:] == (1, 24, 24)
    weighed = (colours.train.pixels.float() * torch.tensor([0.299, 0.587, 0.114])[:, None, None]).sum(1)
    assert (grey.train.pixels[:, 0] - weighed).abs().max() < 3
    assert load(DataSpec(input_size=(16, 24), channels=1)).train.pixels.shape[1:] == (1, 16, 24)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [(16, 40), (40, 16)])
def test_images_need_not_be_square(size: tuple[int, int], channels: int, tmp_path: Path) -> None:
    """The middle of a photo that is wide, tall or square, in its own proportions."""
    (tmp_path / "p" / "disc").mkdir(parents=True)
    for number, (height, width) in enumerate([(90, 90), (90, 200), (200, 90), (30, 20)]):
        rows, columns = np.ogrid[:height, :width]
        inside = (rows - height / 2) ** 2 + (columns - width / 2) ** 2 < (min(height, width) / 6) ** 2
        pixels = np.where(inside, 255, 0).astype(np.uint8)
        Image.fromarray(pixels).save(tmp_path / "p" / "disc" / f"{number}.png")
    judge = photos(tmp_path / "judge", 3, ("disc",))
    data = load(
        DataSpec(f"imagefolder:{tmp_path / 'p'}", f"imagefolder:{judge}", input_size=size, channels=channels)
    )
    assert data.train.pixels.shape[1:] == (channels, *size)
    for image in data.train.pixels[:, 0] > 127:
        across, down = image.any(0).sum(), image.any(1).sum()
        assert min(across, size[0]) - 3 <= down <= across + 3, "a disc is no disc any more"


def test_any_number_of_channels_comes_from_a_dataset(tmp_path: Path) -> None:
    bands = torch.arange(5, dtype=torch.uint8)[:, None, None].expand(5, 30, 40) * 50
    for item in (bands, bands.numpy(), np.moveaxis(bands.numpy(), 0, -1), bands.float() / 255):
        pixels = handed(item, channels=5)
        assert pixels.shape[1:] == (5, 32, 32)
        assert pixels[0, :, 0, 0].tolist() == [0, 50, 100, 150, 200]
    with pytest.raises(BadInputError, match="has 3 channels and the network takes 5"):
        handed(Image.new("RGB", (30, 30)), channels=5)
    with pytest.raises(BadInputError, match="1 or 3 channels and the network takes 5"):
        load(DataSpec(f"imagefolder:{photos(tmp_path / 'p')}", input_size=16, channels=5))
    with pytest.raises(BadInputError, match="digits gives images of 1 or 3 channels"):
        load(DataSpec(channels=5))


def test_preprocessing_is_for_as_many_channels() -> None:
    assert IMAGENET.of_channels(3, "net") is IMAGENET
    for channels in (1, 5):
        white = IMAGENET.of_channels(channels, "net")(torch.full((2, channels, 4, 4), 255))
        assert white.shape == (2, channels, 4, 4)
        assert torch.allclose(white, torch.tensor((1 - 0.449) / 0.226))
    with pytest.raises(BadInputError, match="'caffe' is for 3"):
        CAFFE.of_channels(1, "net")
    with pytest.raises(BadInputError, match="is for 2; give another"):
        named("0.5,0.5/0.5,0.5").of_channels(3, "net")


@pytest.mark.parametrize("known", BY_NAME.values(), ids=BY_NAME)
def test_preprocessing_is_told_as_steps_that_anyone_can_take(known: Preprocess) -> None:
    pixels = torch.randint(256, (2, 3, 4, 4), dtype=torch.uint8)
    steps = known.steps()
    mean, std = (torch.tensor(steps[name]).reshape(3, 1, 1) for name in ("mean", "std"))
    ordered = {"RGB": pixels, "BGR": pixels.flip(1)}[steps["channels"]]
    assert torch.allclose((ordered - mean) / std, known(pixels), rtol=1e-4, atol=1e-4)
    assert torch.allclose(Preprocess.of_steps(steps)(pixels), known(pixels), rtol=1e-4, atol=1e-4)


def test_preprocessing_is_named_or_written_out() -> None:
    white = torch.full((1, 3, 2, 2), 255)
    for text in (*BY_NAME, "0/1", "0.1307/0.3081", "0.4,0.5,0.6/0.1,0.2,0.3/bgr"):
        written = named(str(named(text).of_channels(3, "net")))
        assert torch.allclose(written(white), named(text).of_channels(3, "net")(white), rtol=1e-3)
    assert named("0.1307/0.3081").of_channels(1, "net") == Preprocess((0.1307,), (0.3081,))
    for text in (
        "",
        "symmetrical",
        "0.5",
        "0.5/0",
        "0.5/nan",
        "inf/1",
        "1,2/3",
        "a/b",
        "1/2/3",
        "0.5/0.5/rgb",
    ):
        with pytest.raises(BadInputError, match="unknown `preprocess`"):
            named(text)


@pytest.mark.parametrize(
    ("text", "size", "plane", "channels"),
    [
        ("64", 64, 64, None),
        ("64x64", 64, 64, None),
        ("48x192", (48, 192), (48, 192), None),
        ("1x28X28", (1, 28, 28), 28, 1),
        ("3x48x192", (3, 48, 192), (48, 192), 3),
    ],
)
def test_sizes_are_written_as_people_write_them(
    text: str, size: sizes.Size, plane: sizes.Size, channels: int | None
) -> None:
    assert sizes.parsed(text) == size
    assert sizes.plane(size) == plane
    assert sizes.channels_of(size) == channels


@pytest.mark.parametrize(
    "text", ["", "7", "64x", "4096", "0x64x64", "1x2x64x64", "224x224x3", "-64", "large"]
)
def test_what_is_no_size_is_named(text: str) -> None:
    with pytest.raises(BadInputError, match="is no size of an image"):
        sizes.parsed(text)
