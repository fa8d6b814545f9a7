"""BVLC GoogLeNet: the paper's network, with LRN, Caffe layer names, pooling and preprocessing.

Szegedy et al. 2015 as trained by the BVLC model zoo; the auxiliary classifiers are training-only and
left out. Input: BGR, 0-255, minus the mean (104, 117, 123).
"""

import torch
from torch import Tensor, nn

from training.data.preprocess import CAFFE

PREPROCESS = CAFFE
INPUT_SIZE = 224
CLASSES = 1000

# Maps of each branch: 1x1, 3x3 reducer, 3x3, 5x5 reducer, 5x5, projection behind the pooling.
MODULES = {
    "3a": (64, 96, 128, 16, 32, 32),
    "3b": (128, 128, 192, 32, 96, 64),
    "4a": (192, 96, 208, 16, 48, 64),
    "4b": (160, 112, 224, 24, 64, 64),
    "4c": (128, 128, 256, 24, 64, 64),
    "4d": (112, 144, 288, 32, 64, 64),
    "4e": (256, 160, 320, 32, 128, 128),
    "5a": (256, 160, 320, 32, 128, 128),
    "5b": (384, 192, 384, 48, 128, 128),
}


class BvlcGoogLeNet(nn.Module):
    """Layers carry Caffe's names, so that the model zoo's weights load as they are."""

    def __init__(self, classes: int = CLASSES) -> None:
        super().__init__()
        self._conv("conv1/7x7_s2", 3, 64, 7, stride=2)
        self._conv("conv2/3x3_reduce", 64, 64, 1)
        self._conv("conv2/3x3", 64, 192, 3)
        for name in ("pool1/3x3_s2", "pool2/3x3_s2", "pool3/3x3_s2", "pool4/3x3_s2"):
            self.add_module(name, nn.MaxPool2d(3, 2, ceil_mode=True))
        for name in ("pool1/norm1", "conv2/norm2"):
            self.add_module(name, nn.LocalResponseNorm(5, alpha=1e-4, beta=0.75, k=1.0))
        channels = 192
        for name, maps in MODULES.items():
            channels = self._inception(f"inception_{name}", channels, *maps)
        self.add_module("pool5/7x7_s1", nn.AdaptiveAvgPool2d(1))
        self.add_module("pool5/drop_7x7_s1", nn.Dropout(0.4))
        self.add_module("loss3/classifier", nn.Linear(channels, classes))

    def _conv(self, name: str, inputs: int, maps: int, kernel: int, stride: int = 1) -> None:
        self.add_module(name, nn.Conv2d(inputs, maps, kernel, stride, kernel // 2))
        self.add_module(_relu(name), nn.ReLU())

    def _inception(
        self,
        name: str,
        inputs: int,
        one: int,
        reduce3: int,
        three: int,
        reduce5: int,
        five: int,
        project: int,
    ) -> int:
        self._conv(f"{name}/1x1", inputs, one, 1)
        self._conv(f"{name}/3x3_reduce", inputs, reduce3, 1)
        self._conv(f"{name}/3x3", reduce3, three, 3)
        self._conv(f"{name}/5x5_reduce", inputs, reduce5, 1)
        self._conv(f"{name}/5x5", reduce5, five, 5)
        self.add_module(f"{name}/pool", nn.MaxPool2d(3, 1, 1, ceil_mode=True))
        self._conv(f"{name}/pool_proj", inputs, project, 1)
        return one + three + five + project

    def forward(self, x: Tensor) -> Tensor:
        """Class scores (batch, classes) of images (batch, 3, height, width), preprocessed."""
        x = self._run(x, "conv1/7x7_s2", "pool1/3x3_s2", "pool1/norm1")
        x = self._run(x, "conv2/3x3_reduce", "conv2/3x3", "conv2/norm2", "pool2/3x3_s2")
        for name in MODULES:
            x = self._branches(x, f"inception_{name}")
            if name in ("3b", "4e"):
                x = self._run(x, f"pool{name[0]}/3x3_s2")
        x = torch.flatten(self._run(x, "pool5/7x7_s1"), 1)
        return self._run(x, "pool5/drop_7x7_s1", "loss3/classifier")

    def _branches(self, x: Tensor, name: str) -> Tensor:
        paths = (("1x1",), ("3x3_reduce", "3x3"), ("5x5_reduce", "5x5"), ("pool", "pool_proj"))
        return torch.cat([self._run(x, *(f"{name}/{step}" for step in path)) for path in paths], 1)

    def _run(self, x: Tensor, *names: str) -> Tensor:
        for name in names:
            layer = self.get_submodule(name)
            x = layer(x)
            if isinstance(layer, nn.Conv2d):
                x = self.get_submodule(_relu(name))(x)
        return x


def _relu(conv: str) -> str:
    place, _, layer = conv.partition("/")
    return f"{place}/relu_{layer.removesuffix('_s2')}"


def build(classes: int = CLASSES) -> nn.Module:
    """The network with random weights."""
    return BvlcGoogLeNet(classes)
