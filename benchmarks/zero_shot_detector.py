"""Zero-shot on a detector: speed-up against the share of its answers that is kept (about ten minutes).

python benchmarks/zero_shot_detector.py BVLC_GOOGLENET.safetensors EVAL_FOLDER [TARGET]

BVLC GoogLeNet's trained backbone with a head as YOLO has it (boxes, objectness and 80 classes for three
anchors, at strides of 16 and 32) whose weights are random; judged by its answers to the photos of
EVAL_FOLDER, without labels.
"""

import sys
import tempfile
from pathlib import Path

import torch
from rich.console import Console
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

import rebirth  # noqa: E402
from search.commands import terminal  # noqa: E402
from search.results import tables  # noqa: E402
from training.models.networks.bvlc_googlenet import MODULES, BvlcGoogLeNet  # noqa: E402

_ANCHORS, _CLASSES, _BUDGET = 3, 80, 12
_FINE, _COARSE = 832, 1024  # channels of inception_4e and 5b


class Detector(BvlcGoogLeNet):
    """The backbone with two heads."""

    def __init__(self) -> None:
        super().__init__()
        self.fine, self.coarse = self._head(_FINE), self._head(_COARSE)

    @staticmethod
    def _head(channels: int) -> nn.Module:
        answers = _ANCHORS * (5 + _CLASSES)
        return nn.Sequential(nn.Conv2d(channels, 256, 1), nn.LeakyReLU(0.1), nn.Conv2d(256, answers, 1))

    def forward(self, x: Tensor) -> dict[str, Tensor]:  # type: ignore[override]
        x = self._run(x, "conv1/7x7_s2", "pool1/3x3_s2", "pool1/norm1")
        x = self._run(x, "conv2/3x3_reduce", "conv2/3x3", "conv2/norm2", "pool2/3x3_s2")
        found = []
        for name in MODULES:
            x = self._branches(x, f"inception_{name}")
            found += [self.fine(x)] if name == "4e" else [self.coarse(x)] if name == "5b" else []
            if name in ("3b", "4e"):
                x = self._run(x, f"pool{name[0]}/3x3_s2")
        values = [maps.unflatten(1, (_ANCHORS, -1)).permute(0, 1, 3, 4, 2).flatten(1, 3) for maps in found]
        answers = torch.cat(values, 1)
        return {"boxes": answers[..., :4], "scores": answers[..., 4:].sigmoid()}


def detector() -> nn.Module:
    """The detector with random weights."""
    torch.manual_seed(0)
    return Detector()


def main() -> None:
    weights, folder, *rest = sys.argv[1:]
    with tempfile.TemporaryDirectory() as home, terminal.bars() as watch:
        whole = f"{home}/detector.safetensors"
        save_file(detector().state_dict() | load_file(weights), whole)
        study = rebirth.search(
            home=home,
            watch=watch,
            note=terminal.note,
            model="benchmarks.zero_shot_detector:detector",
            weights=whole,
            preprocess="caffe",
            eval_data=f"imagefolder:{folder}",
            zero_shot=True,
            target=rest[0] if rest else "raspberry-pi-4",
            budget=_BUDGET,
            name="detector",
        )
        Console(width=160).print(tables.front_table(rebirth.front(study)))


if __name__ == "__main__":
    main()
