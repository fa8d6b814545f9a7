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
from training.progress import Progress, Session, Watch, silent
from training.store import WeightStore
from training.teacher import Lessons, train_teacher


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


def trained(
    home: Path, start: dict[str, torch.Tensor] | None, epochs: int, watch: Watch = silent
) -> tuple[float, LoadedModel]:
    model = networks.with_batch_norm()
    if start:
        model.load_state_dict(start)
    loaded = LoadedModel("n", model, IMAGENET, 24, trained=start is not None)
    train_teacher(loaded, data(), Lessons(epochs, shifted, 0), Session(home, watch))
    proxy = data().proxy
    return evaluate(model, lambda index: IMAGENET(proxy.pixels[index]), proxy.labels)[0].top1, loaded


def test_a_trained_teacher_goes_on_from_its_weights(tmp_path: Path) -> None:
    long, teacher = trained(tmp_path, None, 12)
    short, _ = trained(tmp_path, None, 1)
    further, finer = trained(tmp_path, teacher.model.state_dict(), 1)
    assert further > short
    assert further >= long - 5
    assert len(list((tmp_path / "teachers").iterdir())) == 3, "each start has its own file"
    again, same = trained(tmp_path, teacher.model.state_dict(), 1)
    assert again == further
    assert all(torch.equal(v, same.model.state_dict()[k]) for k, v in finer.model.state_dict().items())


@pytest.mark.parametrize("content", [b"", b"short", b"{}" * 300, "half", "flipped", "foreign"])
def test_a_damaged_teacher_is_trained_again(content: bytes | str, tmp_path: Path) -> None:
    first, teacher = trained(tmp_path, None, 1)
    (path,) = (tmp_path / "teachers").iterdir()
    data = bytearray(path.read_bytes())
    if content == "half":
        path.write_bytes(data[: len(data) // 2])
    elif content == "flipped":
        data[-9] ^= 1
        path.write_bytes(data)
    elif content == "foreign":
        WeightStore(path.parent).write(path.stem, {"other": torch.zeros(3)})
    else:
        assert isinstance(content, bytes)
        path.write_bytes(content)
    again, healed = trained(tmp_path, None, 1)
    assert again == first
    assert all(torch.equal(v, healed.model.state_dict()[k]) for k, v in teacher.model.state_dict().items())
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("damaged", [False, True])
def test_an_interrupted_teacher_repeats_no_finished_epoch_and_ends_the_same(
    damaged: bool, tmp_path: Path
) -> None:
    _, whole = trained(tmp_path / "whole", None, 3)
    steps: list[int] = []

    def stopping_at(stop: int) -> Watch:
        def watch(what: str) -> Progress:
            def count(done: int, total: int) -> None:
                steps.append(done)
                if done == stop:
                    raise KeyboardInterrupt

            return count

        return watch

    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path, None, 3, stopping_at(25))  # ten steps an epoch
    (checkpoint,) = (tmp_path / "teachers").iterdir()
    if damaged:
        checkpoint.write_bytes(checkpoint.read_bytes()[:500])
    steps.clear()
    _, resumed = trained(tmp_path, None, 3, stopping_at(0))
    assert steps[0] == (1 if damaged else 21)
    assert not checkpoint.exists()
    assert all(torch.equal(v, resumed.model.state_dict()[k]) for k, v in whole.model.state_dict().items())
