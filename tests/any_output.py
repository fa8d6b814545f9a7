"""Networks that are no classifiers, as people have them, and a metric of a user's own."""

import torch
import torchvision
from torch import Tensor, nn
from torch.nn import functional as F

_SEED = 0


def _conv(inputs: int, maps: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, maps, 3, stride, 1, bias=False), nn.BatchNorm2d(maps), nn.ReLU())


class Residual(nn.Module):
    """Two convolutions and a shortcut."""

    def __init__(self, maps: int) -> None:
        super().__init__()
        self.first, self.second = _conv(maps, maps), nn.Conv2d(maps, maps, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x + self.second(self.first(x)))


class YoloLike(nn.Module):
    """A backbone, and a head of boxes, objectness and classes at two scales, as one list of anchors."""

    def __init__(self, classes: int = 3) -> None:
        super().__init__()
        self.stem = nn.Sequential(_conv(3, 8, 2), nn.MaxPool2d(2), Residual(8))
        self.down = nn.Sequential(_conv(8, 16, 2), Residual(16))
        self.fine, self.coarse = nn.Conv2d(8, 5 + classes, 1), nn.Conv2d(16, 5 + classes, 1)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        fine = self.stem(images)
        coarse = self.down(fine)
        found = [self.fine(fine).flatten(2), self.coarse(coarse).flatten(2)]
        values = torch.cat(found, 2).permute(0, 2, 1)
        return {"boxes": values[..., :4], "scores": values[..., 4:].sigmoid()}


class Detector(nn.Module):
    """What a user calls: the network, and the choice of boxes, which is no network."""

    def __init__(self) -> None:
        super().__init__()
        self.network = YoloLike()

    def forward(self, images: Tensor) -> list[Tensor]:
        answers = self.network(images)
        return [
            boxes[scores[:, 0] > 0.5]
            for boxes, scores in zip(answers["boxes"], answers["scores"], strict=True)
        ]


class Embedding(nn.Module):
    """Vectors of length one."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(_conv(3, 16), nn.MaxPool2d(2), Residual(16), _conv(16, 24, 2))
        self.head = nn.Linear(24, 32)

    def forward(self, images: Tensor) -> Tensor:
        return F.normalize(self.head(self.body(images).mean((2, 3))), dim=1)


class SuperResolution(nn.Module):
    """Twice the size of what comes in."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(_conv(3, 16), Residual(16), Residual(16), nn.Conv2d(16, 12, 3, padding=1))
        self.shuffle = nn.PixelShuffle(2)

    def forward(self, images: Tensor) -> Tensor:
        return self.shuffle(self.body(images)) + F.interpolate(images, scale_factor=2, mode="nearest")


class TwoHeads(nn.Module):
    """Scores of the whole image, and a heat map."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(_conv(3, 16), nn.MaxPool2d(2), Residual(16))
        self.scores, self.heat = nn.Linear(16, 7), nn.Conv2d(16, 2, 1)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        maps = self.body(images)
        return self.scores(maps.mean((2, 3))), torch.sigmoid(self.heat(maps))


def _seeded(build: type[nn.Module]) -> nn.Module:
    torch.manual_seed(_SEED)
    return build().eval()


def detector() -> nn.Module:
    return _seeded(Detector)


def embedding() -> nn.Module:
    return _seeded(Embedding)


def super_resolution() -> nn.Module:
    return _seeded(SuperResolution)


def two_heads() -> nn.Module:
    return _seeded(TwoHeads)


def segmentation() -> nn.Module:
    """torchvision's LRASPP: a dict of maps."""
    torch.manual_seed(_SEED)
    build = torchvision.models.segmentation.lraspp_mobilenet_v3_large
    return build(weights=None, weights_backbone=None, num_classes=4).eval()


def psnr(network: nn.Module, images: Tensor) -> float:
    """How well images come back from half their size: peak signal-to-noise ratio in decibels."""
    small = F.avg_pool2d(images, 2)
    error = (network(small) - images).square().mean() / images.square().max()
    return float(-10 * torch.log10(error))
