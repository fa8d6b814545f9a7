"""Teachers are trained once, from scratch or from the weights that they have."""

from pathlib import Path

import pytest
import torch

from tests import networks
from training.data.dataset import Data, Images
from training.data.preprocess import IMAGENET
from training.images.augment import shifted
from training.metrics import evaluate
from training.models.loading import LoadedModel
from training.store import WeightStore
from training.teacher import train_teacher


def patches(count: int, seed: int) -> Images:
    """Ten classes: which of ten places is bright."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, 10, (count,), generator=generator)
    pixels = torch.randint(0, 80, (count, 3, 24, 24), generator=generator, dtype=torch.uint8)
    for image, label in zip(pixels, labels.tolist(), strict=True):
        row, column = divmod(label, 5)
        image[:, 12 * row : 12 * row + 12, 4 * column : 4 * column + 6] = 250
    return Images(pixels, labels)


def data() -> Data:
    proxy = patches(100, 1)
    return Data("patches", patches(320, 0), proxy, proxy, tuple("0123456789"), test_is_proxy=True)


def trained(home: Path, start: dict[str, torch.Tensor] | None, epochs: int) -> tuple[float, LoadedModel]:
    model = networks.with_batch_norm()
    if start:
        model.load_state_dict(start)
    loaded = LoadedModel("n", model, IMAGENET, 24, trained=start is not None)
    train_teacher(loaded, data(), shifted, epochs, 0, WeightStore(home), lambda done, total: None)
    proxy = data().proxy
    return evaluate(model, lambda index: IMAGENET(proxy.pixels[index]), proxy.labels)[0].top1, loaded


def test_a_trained_teacher_goes_on_from_its_weights(tmp_path: Path) -> None:
    long, teacher = trained(tmp_path, None, 12)
    short, _ = trained(tmp_path, None, 1)
    further, finer = trained(tmp_path, teacher.model.state_dict(), 1)
    assert further > short
    assert further >= long - 5
    assert len(list(tmp_path.iterdir())) == 3, "each start has its own file"
    again, same = trained(tmp_path, teacher.model.state_dict(), 1)
    assert again == further
    assert all(torch.equal(v, same.model.state_dict()[k]) for k, v in finer.model.state_dict().items())


@pytest.mark.parametrize("content", [b"", b"short", b"{}" * 300, "half", "flipped", "foreign"])
def test_a_damaged_teacher_is_trained_again(content: bytes | str, tmp_path: Path) -> None:
    first, teacher = trained(tmp_path, None, 1)
    (path,) = tmp_path.iterdir()
    data = bytearray(path.read_bytes())
    if content == "half":
        path.write_bytes(data[: len(data) // 2])
    elif content == "flipped":
        data[-9] ^= 1
        path.write_bytes(data)
    elif content == "foreign":
        WeightStore(tmp_path).write(path.stem, {"other": torch.zeros(3)})
    else:
        assert isinstance(content, bytes)
        path.write_bytes(content)
    again, healed = trained(tmp_path, None, 1)
    assert again == first
    assert all(torch.equal(v, healed.model.state_dict()[k]) for k, v in teacher.model.state_dict().items())
    assert list(tmp_path.iterdir()) == [path]
