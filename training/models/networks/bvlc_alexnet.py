"""BVLC AlexNet: LRN after the first two convolutions, groups as on two GPUs, Caffe names and preprocessing.

Krizhevsky et al. 2012 as trained by the BVLC model zoo (norm before pooling). Input: BGR, 0-255, minus the
mean (104, 117, 123).
"""

import torch
from torch import Tensor, nn

from training.data.preprocess import CAFFE

PREPROCESS = CAFFE
INPUT_SIZE = 227
CLASSES = 1000


class BvlcAlexNet(nn.Module):
    """Layers carry Caffe's names, so that the model zoo's weights load as they are."""

    def __init__(self, classes: int = CLASSES) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 96, 11, stride=4)
        self.conv2 = nn.Conv2d(96, 256, 5, padding=2, groups=2)
        self.conv3 = nn.Conv2d(256, 384, 3, padding=1)
        self.conv4 = nn.Conv2d(384, 384, 3, padding=1, groups=2)
        self.conv5 = nn.Conv2d(384, 256, 3, padding=1, groups=2)
        for number in (1, 2):
            self.add_module(f"norm{number}", nn.LocalResponseNorm(5, alpha=1e-4, beta=0.75, k=1.0))
        for number in (1, 2, 5):
            self.add_module(f"pool{number}", nn.MaxPool2d(3, 2, ceil_mode=True))
        for number in range(1, 8):
            self.add_module(f"relu{number}", nn.ReLU())
        self.fc6 = nn.Linear(256 * 6 * 6, 4096)
        self.fc7 = nn.Linear(4096, 4096)
        self.fc8 = nn.Linear(4096, classes)
        self.drop6, self.drop7 = nn.Dropout(), nn.Dropout()

    def forward(self, x: Tensor) -> Tensor:
        """Class scores (batch, classes) of images (batch, 3, 227, 227), preprocessed."""
        x = self._run(x, "conv1", "relu1", "norm1", "pool1", "conv2", "relu2", "norm2", "pool2")
        x = self._run(x, "conv3", "relu3", "conv4", "relu4", "conv5", "relu5", "pool5")
        return self._run(torch.flatten(x, 1), "fc6", "relu6", "drop6", "fc7", "relu7", "drop7", "fc8")

    def _run(self, x: Tensor, *names: str) -> Tensor:
        for name in names:
            x = self.get_submodule(name)(x)
        return x


def build(classes: int = CLASSES) -> nn.Module:
    """The network with random weights."""
    return BvlcAlexNet(classes)
