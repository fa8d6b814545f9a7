"""Small networks for the tests; each is a factory that ``--model tests.networks:NAME`` accepts."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Stem(nn.Module):
    """Convolution, norms, activation and pooling, as GoogLeNet and AlexNet begin."""

    def __init__(self, norm: nn.Module, pool: nn.Module, maps: int = 16) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, maps, 5, 1, 2)
        self.norm, self.pool = norm, pool

    def forward(self, x: Tensor) -> Tensor:
        return self.pool(F.relu(self.norm(self.conv(x))))


class Inception(nn.Module):
    """Four branches; functional activations, as torchvision writes them."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.one = nn.Conv2d(inputs, 8, 1)
        self.reduce3, self.three = nn.Conv2d(inputs, 12, 1), nn.Conv2d(12, 16, 3, padding=1)
        self.reduce5, self.five = nn.Conv2d(inputs, 8, 1), nn.Conv2d(8, 8, 5, padding=2)
        self.pool, self.project = nn.MaxPool2d(3, 1, 1), nn.Conv2d(inputs, 8, 1)
        self.bn = nn.BatchNorm2d(16)

    def forward(self, x: Tensor) -> Tensor:
        three = F.relu(self.bn(self.three(F.relu(self.reduce3(x)))))
        five = F.relu(self.five(F.relu(self.reduce5(x))))
        return torch.cat([F.relu(self.one(x)), three, five, F.relu(self.project(self.pool(x)))], 1)


class SmallNet(nn.Module):
    """Stem, inception module, classifier."""

    def __init__(self, stem: nn.Module, classes: int = 10) -> None:
        super().__init__()
        self.stem, self.block = stem, Inception(16)
        self.head = nn.Linear(40, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.flatten(F.adaptive_avg_pool2d(self.block(self.stem(x)), 1), 1))


class Fire(nn.Module):
    """SqueezeNet's module: both branches read the same maps, so a 1x1 goes exactly into the 3x3."""

    def __init__(self) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(3, 8, 3, 2)
        self.one, self.three = nn.Conv2d(8, 8, 1), nn.Conv2d(8, 8, 3, padding=1)
        self.head = nn.Linear(16, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.squeeze(x))
        x = torch.cat([torch.relu(self.one(x)), torch.relu(self.three(x))], dim=1)
        return self.head(x.mean((2, 3)))


class Shared(nn.Module):
    """One convolution and one norm called twice."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.bn, self.pool = nn.Conv2d(3, 3, 3, padding=1), nn.BatchNorm2d(3), nn.MaxPool2d(2)
        self.head = nn.Linear(3, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(F.relu(self.bn(self.conv(x))))
        x = self.pool(F.relu(self.bn(self.conv(x))))
        return self.head(torch.flatten(F.adaptive_avg_pool2d(x, 1), 1))


class Mixed(nn.Module):
    """A place for every exact rule, a residual block, and a pooling after a concatenation."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.thin = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 12, 3, padding=1)
        self.narrow, self.widen = nn.Conv2d(12, 24, 1), nn.Conv2d(24, 16, 1)
        self.three, self.one = nn.Conv2d(16, 16, 3, padding=1), nn.Conv2d(16, 16, 1)
        self.bn = nn.BatchNorm2d(16)
        self.down, self.mean = nn.Conv2d(16, 16, 1), nn.AvgPool2d(2)
        self.first, self.second = nn.Conv2d(16, 16, 3, padding=1), nn.Conv2d(16, 16, 3, padding=1)
        self.block, self.pool = Inception(16), nn.MaxPool2d(3, 2, ceil_mode=True)
        self.relu, self.head = nn.ReLU(), nn.Linear(40, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.thin(self.relu(self.stem(x) * 0.5 + 0.1)))
        x = self.relu(self.widen(self.narrow(x)))
        x = self.relu(self.three(x) + self.one(x) + self.bn(x))
        x = self.relu(self.mean(self.down(x)))
        x = self.relu(x + self.second(self.relu(self.first(x))))
        return self.head(self.pool(self.block(x)).mean((2, 3)))


class Basic(nn.Module):
    """A residual of two convolutions, as ResNet-18 has it."""

    def __init__(self, maps: int) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(maps, maps, 3, padding=1), nn.Conv2d(maps, maps, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.second(F.relu(self.first(x))))


class Inverted(nn.Module):
    """An inverted residual with a gate, as EfficientNet has it."""

    def __init__(self, maps: int, inside: int) -> None:
        super().__init__()
        self.expand, self.bn1 = nn.Conv2d(maps, inside, 1, bias=False), nn.BatchNorm2d(inside)
        self.depthwise = nn.Conv2d(inside, inside, 3, padding=1, groups=inside, bias=False)
        self.squeeze, self.excite = nn.Conv2d(inside, 8, 1), nn.Conv2d(8, inside, 1)
        self.project, self.bn2 = nn.Conv2d(inside, maps, 1, bias=False), nn.BatchNorm2d(maps)

    def forward(self, x: Tensor) -> Tensor:
        y = F.silu(self.depthwise(F.silu(self.bn1(self.expand(x)))))
        y = y * torch.sigmoid(self.excite(F.silu(self.squeeze(y.mean((2, 3), keepdim=True)))))
        return x + self.bn2(self.project(y))


class Next(nn.Module):
    """ConvNeXt's block: layer norm and features with the channels last, a scale for every channel."""

    def __init__(self, maps: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(maps, maps, 5, padding=2, groups=maps)
        self.norm = nn.LayerNorm(maps)
        self.fc1, self.fc2 = nn.Linear(maps, 3 * maps), nn.Linear(3 * maps, maps)
        self.gamma = nn.Parameter(torch.linspace(0.5, 1, maps))

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(self.depthwise(x).permute(0, 2, 3, 1))
        y = self.fc2(F.gelu(self.fc1(y))).permute(0, 3, 1, 2)
        return x + y * self.gamma[:, None, None]


class Modern(nn.Module):
    """Stem, one or several blocks, a shift before a dense convolution, classifier."""

    def __init__(self, *blocks: nn.Module) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, 2, 1)
        self.blocks, self.last = nn.Sequential(*blocks), nn.Conv2d(16, 24, 3, padding=1)
        self.head = nn.Linear(24, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.last(self.blocks(F.relu(self.stem(x))) + 0.1))
        return self.head(x.mean((2, 3)))


class Dynamic(nn.Module):
    """Control flow on the values of a tensor."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 10, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x).mean((2, 3)) if x.sum() > 0 else self.conv(-x).mean((2, 3))


def _seeded(build: type[nn.Module], *parts: object) -> nn.Module:
    model = build(*parts)
    generator = torch.Generator().manual_seed(1)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            module.eps = 1e-3
            module.running_mean.copy_(torch.randn(module.num_features, generator=generator) * 0.2)
            module.running_var.copy_(torch.rand(module.num_features, generator=generator) + 0.5)
    return model.eval()


def with_batch_norm() -> nn.Module:
    torch.manual_seed(0)
    return _seeded(SmallNet, Stem(nn.BatchNorm2d(16), nn.MaxPool2d(3, 2, ceil_mode=True)))


def with_lrn() -> nn.Module:
    torch.manual_seed(0)
    return _seeded(SmallNet, Stem(nn.LocalResponseNorm(5, 1e-2), nn.AvgPool2d(2, 2)))


def fire() -> nn.Module:
    torch.manual_seed(0)
    return _seeded(Fire)


def mixed() -> nn.Module:
    torch.manual_seed(0)
    model = _seeded(Mixed)
    for module in model.modules():  # lively maps: what a deep network of small weights makes hardly varies
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight)
    return model


def inverted() -> nn.Module:
    torch.manual_seed(0)
    return _seeded(Modern, Inverted(16, 32), Inverted(16, 48))


def convnext() -> nn.Module:
    torch.manual_seed(0)
    return _seeded(Modern, Next(16), Next(16))


def shared() -> nn.Module:
    torch.manual_seed(0)
    return _seeded(Shared)


def dynamic() -> nn.Module:
    return _seeded(Dynamic)
