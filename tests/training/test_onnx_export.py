"""Files that the program writes: sizes that stay free, several outputs, and networks of text recognition."""

import copy
import os
import subprocess
import sys
import tempfile
import zipfile
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from PIL import Image, ImageDraw
from torch import Tensor, nn

from merges.network import analyse
from tests.training import onnx_files
from training import onnx_input
from training.errors import ExportError
from training.export import to_onnx
from training.export_check import Agreement, Gap, check, compare

SIZES = {
    "ch_ppocr_mobile_v2.0_cls_infer.onnx": (48, 192),
    "ch_PP-OCRv4_rec_infer.onnx": (48, 320),
    "ch_PP-OCRv4_det_infer.onnx": (480, 640),
}
ALL = frozenset({"batch", "height", "width"})


class Scores(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 4, 3, padding=1), nn.LocalResponseNorm(3)
        self.pool, self.head = nn.AdaptiveAvgPool2d(1), nn.Linear(4, 5)

    def forward(self, x: Tensor) -> Tensor:
        answers: Tensor = self.head(self.pool(self.norm(self.conv(x).relu())).flatten(1))
        return answers


class Fixed(Scores):
    """Bound to images of one size."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + nn.functional.adaptive_avg_pool2d(x.reshape(-1, 3, 256), 1)[:, :1, 0]


class Two(Scores):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        return super().forward(x), self.conv(x) * 100


def sides_of(path: Path) -> list[str | int]:
    """The sides of a file's input: names where free."""
    shape = onnx.load(path).graph.input[0].type.tensor_type.shape
    return [d.dim_param or d.dim_value for d in shape.dim]


def test_sizes_stay_free_and_operators_whole(tmp_path: Path) -> None:
    network, path = Scores().eval(), tmp_path / "m.onnx"
    assert to_onnx(network, (3, 16, 16), path, ALL) == ALL
    assert sides_of(path) == ["batch", 3, "height", "width"]
    operations = [node.op_type for node in onnx.load(path).graph.node]
    assert operations.count("LRN") == operations.count("GlobalAveragePool") == 1
    for shape in ((1, 3, 16, 16), (4, 3, 21, 40)):
        assert onnx_files.worst_error(network, path, shape) < 1e-4
    loaded, size = onnx_input.read(str(path), (16, 24))
    assert size == (16, 24)
    assert loaded.free == ALL
    assert onnx_files.worst_error(loaded, path, (3, 3, 16, 24)) < 1e-4


def test_how_weights_lie_in_memory_is_not_seen_in_the_file(tmp_path: Path) -> None:
    def operations(network: nn.Module) -> list[str]:
        to_onnx(network, (3, 16, 16), tmp_path / "m.onnx")
        return [node.op_type for node in onnx.load(tmp_path / "m.onnx").graph.node]

    class Pooled(Scores):
        def forward(self, x: Tensor) -> Tensor:
            answers: Tensor = self.head(nn.functional.adaptive_avg_pool2d(self.conv(x), 1).flatten(1))
            return answers

    network = Pooled().eval()
    last = copy.deepcopy(network).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    assert operations(last) == operations(network)


def test_a_size_that_the_network_needs_is_fixed_in_the_file(tmp_path: Path) -> None:
    network, path = Fixed().eval(), tmp_path / "m.onnx"
    assert to_onnx(network, (3, 16, 16), path, ALL) == {"batch"}
    assert sides_of(path) == ["batch", 3, 16, 16]
    assert onnx_files.worst_error(network, path, (3, 3, 16, 16)) < 1e-4


def test_all_outputs_are_written_and_compared(tmp_path: Path) -> None:
    network, path = Two().eval(), tmp_path / "m.onnx"
    assert to_onnx(network, (3, 16, 16), path) == frozenset()
    images = torch.randn(3, 3, 16, 16)
    agreement = compare(network, path, images)
    check(agreement)
    assert agreement.images == 3
    network.conv.bias.data += 1
    with pytest.raises(ExportError, match="answers differently"):
        check(compare(network, path, images))


def test_small_answers_must_agree_too(tmp_path: Path) -> None:
    """Probabilities of a thousand classes are all small; an error of 0.001 would be all of them."""
    with pytest.raises(ExportError, match="answers differently"):
        check(Agreement({"boxes": Gap(1, 1e6), "scores": Gap(9e-4, 0.01)}, 16))


def test_what_pytorch_cannot_export_is_said_in_one_sentence(tmp_path: Path) -> None:
    class Odd(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.relu() if x.sum() > 0 else x

    with pytest.raises(ExportError, match="PyTorch cannot export the network") as caught:
        to_onnx(Odd(), (3, 8, 8), tmp_path / "m.onnx")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "m.onnx").exists()


def text(count: int, height: int, width: int) -> Tensor:
    """Images of a line of text, from -1 to 1: a detector that finds nothing answers 0 everywhere."""
    images = []
    for number in range(count):
        line = Image.new("RGB", (width // 2, height // 2), "white")
        ImageDraw.Draw(line).text((4, 6), f"Text {number} here", fill="black")
        whole = line.resize((width, height), Image.Resampling.BICUBIC)
        images.append(torch.from_numpy(np.asarray(whole, np.float32) / 127.5 - 1).permute(2, 0, 1))
    return torch.stack(images)


@pytest.fixture(scope="session")
def models() -> Path:
    """The folder of PP-OCRv4's networks: PP_OCR_MODELS, an installed rapidocr_onnxruntime, or its wheel."""
    if "PP_OCR_MODELS" in os.environ:
        return Path(os.environ["PP_OCR_MODELS"])
    found = find_spec("rapidocr_onnxruntime")
    if found is not None and found.origin is not None:
        return Path(found.origin).parent / "models"
    cache = Path(tempfile.gettempdir()) / "rebirth-search-pp-ocr"
    if not all((cache / "rapidocr_onnxruntime" / "models" / name).exists() for name in SIZES):
        asked = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(cache)]
        done = subprocess.run([*asked, "rapidocr-onnxruntime"], capture_output=True, text=True, timeout=120)
        if done.returncode:
            pytest.skip(f"the networks of PP-OCRv4 cannot be had: {done.stderr.strip().splitlines()[-1]}")
        for wheel in cache.glob("rapidocr_onnxruntime-*.whl"):
            zipfile.ZipFile(wheel).extractall(cache)
    return cache / "rapidocr_onnxruntime" / "models"


@pytest.mark.parametrize("name", SIZES)
def test_networks_of_text_recognition_are_read_as_the_runtime_runs_them(name: str, models: Path) -> None:
    network, size = onnx_input.read(str(models / name), SIZES[name])
    assert size == SIZES[name]
    assert network.free == ALL
    height, width = SIZES[name]
    # Steep sigmoids make 1e-4 of rounding in 32 bits: ours are 64, and what is left is onnxruntime's.
    network.double()
    for images in (text(1, height, width), text(2, height, width // 2)):
        assert onnx_files.worst_error(lambda x: network(x.double()), models / name, images=images) < 1e-4


def test_a_detector_of_text_offers_sites_and_keeps_all_its_sizes_free(models: Path, tmp_path: Path) -> None:
    original, path = models / "ch_PP-OCRv4_det_infer.onnx", tmp_path / "m.onnx"
    read, _ = onnx_input.read(str(original), (96, 128))
    network = analyse("detector", read, read.input_shape)
    assert network.sites
    assert to_onnx(network.merged({}), network.input_shape, path, ALL) == ALL
    sessions = [onnxruntime.InferenceSession(str(file)) for file in (original, path)]
    for images in (text(1, 96, 128), text(3, 160, 96)):
        wanted, got = (s.run(None, {s.get_inputs()[0].name: images.numpy()})[0] for s in sessions)
        assert wanted.max() > 0.5  # it finds the text
        assert np.abs(got - wanted).max() < 1e-4 * wanted.max()
