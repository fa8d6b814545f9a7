"""Networks that are hard to merge, with what must become of each: rules that find a site, or a refusal."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Body = Callable[[nn.Module, Tensor], Tensor]


class Case(NamedTuple):
    """A network for 3x20x28 images and what is expected of it.

    `rules` must find a site; `refusal` are words of a refused place, or of the error where the `whole`
    network cannot be used.
    """

    build: Callable[[], nn.Module]
    rules: tuple[str, ...] = ()
    refusal: str = ""
    whole: bool = False


def conv(channels: int, maps: int, kernel: int = 3, **options: object) -> nn.Conv2d:
    options.setdefault("padding", kernel // 2)
    return nn.Conv2d(channels, maps, kernel, **options)  # type: ignore[arg-type]


class Net(nn.Module):
    """A body of maps, classified by their means; `forward` may be replaced."""

    def __init__(
        self, body: Callable[[nn.Module, Tensor], Tensor], maps: int = 8, **parts: nn.Module
    ) -> None:
        super().__init__()
        self.body = body
        for name, part in parts.items():
            self.add_module(name, part)
        self.head = nn.Linear(maps, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(self, x).mean((2, 3)))


class TwoHeads(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.a, self.b = conv(3, 8), nn.Linear(8, 5), nn.Linear(8, 5)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = F.relu(self.conv(x)).mean((2, 3))
        return self.a(x), self.b(x)


class TwoHeadsAlike(nn.Module):
    """Two convolutions of the same maps that meet nowhere."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.a, self.b = conv(3, 8), conv(8, 4, 1), conv(8, 6, 1)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        x = F.relu(self.stem(x))
        return {"a": self.a(x), "b": self.b(x)}


class TwoInputs(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = conv(3, 5)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        return (self.conv(x) * mask).mean((2, 3))


class ValueDependent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = conv(3, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        return (x if x.mean() > 0 else -x).mean((2, 3))


class Weights(nn.Module):
    """Functional convolutions with weights of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.weight, self.scale = nn.Parameter(torch.randn(8, 3, 3, 3)), nn.Parameter(torch.ones(8, 1, 1))
        self.head = nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.head((F.relu(F.conv2d(x, self.weight, padding=1)) * self.scale).mean((2, 3)))


class ListOfBlocks(nn.Module):
    """A loop over modules, one ReLU for all, in-place sums, sizes worked out in the forward method."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.relu = conv(3, 8), nn.ReLU(inplace=True)
        self.blocks = nn.ModuleList(nn.ModuleList([conv(8, 8), conv(8, 8)]) for _ in range(2))
        self.head = nn.Linear(8 * 5 * 7, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.stem(x))
        for first, second in self.blocks:
            y = second(self.relu(first(x)))
            y += x
            x = self.relu(y)
        x = F.max_pool2d(x, 4)
        return self.head(x.view(x.size(0), -1))


class Shuffle(nn.Module):
    """Channels split, half of them convolved, joined and shuffled, as ShuffleNet does."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.one, self.two = conv(3, 8), conv(4, 4, 1), conv(4, 4)
        self.head = nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.stem(x))
        left, right = x.chunk(2, dim=1)
        x = torch.cat((left, F.relu(self.two(F.relu(self.one(right))))), dim=1)
        batch, channels, height, width = x.size()
        x = x.view(batch, 2, channels // 2, height, width).transpose(1, 2).contiguous()
        return self.head(x.view(batch, -1, height, width).mean((2, 3)))


def shared_conv() -> nn.Module:
    return Net(lambda s, x: F.relu(s.one(F.relu(s.one(s.stem(x))))), stem=conv(3, 8), one=conv(8, 8))


def shared_norm() -> nn.Module:
    return Net(
        lambda s, x: F.relu(s.bn(s.two(F.relu(s.bn(s.one(x)))))),
        one=conv(3, 8),
        two=conv(8, 8),
        bn=nn.BatchNorm2d(8),
    )


def residual_around_pooling() -> nn.Module:
    return Net(
        lambda s, x: F.relu(s.pool(F.relu(s.one(x))) + s.side(x)),
        one=conv(3, 8),
        pool=nn.MaxPool2d(2),
        side=conv(3, 8, 1, stride=2),
    )


def strides_that_differ() -> nn.Module:
    return Net(
        lambda s, x: torch.cat([F.relu(s.one(x)), F.relu(s.three(F.relu(s.reduce(x)))), s.pool(x)], 1),
        maps=19,
        one=conv(3, 8, 1, stride=2),
        reduce=conv(3, 4, 1),
        three=conv(4, 8, 3, stride=2),
        pool=nn.MaxPool2d(3, 2, 1),
    )


def hidden_write() -> nn.Module:
    def body(s: nn.Module, x: Tensor) -> Tensor:
        x = s.one(x)
        y = x.mul_(2)
        return x + y

    return Net(body, one=conv(3, 8))


def asymmetric_padding() -> nn.Module:
    return Net(
        lambda s, x: F.relu(s.one(s.pad(x))),
        pad=nn.ZeroPad2d((0, 1, 0, 1)),
        one=conv(3, 8, padding=0, stride=2),
    )


def same_padding() -> nn.Module:
    return Net(lambda s, x: s.two(s.one(x)), one=conv(3, 8, 4, padding="same"), two=conv(8, 8, 1))


def dilated() -> nn.Module:
    return Net(
        lambda s, x: s.pool(F.relu(s.two(s.one(x)))),
        one=conv(3, 8),
        two=conv(8, 8, 3, dilation=2, padding=2),
        pool=nn.MaxPool2d(2),
    )


def grouped() -> nn.Module:
    return Net(
        lambda s, x: F.relu(s.two(F.relu(s.one(F.relu(s.stem(x)))))),
        stem=conv(3, 16),
        one=conv(16, 8, 1),
        two=conv(8, 8, 3, groups=2),
    )


def long_kernels() -> nn.Module:
    return Net(
        lambda s, x: F.relu(s.two(s.one(x))),
        one=conv(3, 8, 1, bias=False),
        two=nn.Conv2d(8, 8, (1, 7), padding=(0, 3)),
    )


def squeeze_and_excite() -> nn.Module:
    def body(s: nn.Module, x: Tensor) -> Tensor:
        x = F.relu(s.stem(x))
        y = s.two(F.relu(s.one(x)))
        return x + y * torch.sigmoid(s.gate(y.mean((2, 3), keepdim=True)))

    return Net(body, stem=conv(3, 8), one=conv(8, 8), two=conv(8, 8), gate=conv(8, 8, 1))


def norm_without_statistics() -> nn.Module:
    return Net(
        lambda s, x: F.relu(s.bn(s.one(x))), one=conv(3, 8), bn=nn.BatchNorm2d(8, track_running_stats=False)
    )


def nested_residuals() -> nn.Module:
    def body(s: nn.Module, x: Tensor) -> Tensor:
        x = F.relu(s.stem(x))
        inner = F.relu(x + s.two(F.relu(s.one(x))))
        return F.relu(x + s.four(F.relu(s.three(inner))))

    return Net(body, stem=conv(3, 8), one=conv(8, 8), two=conv(8, 8), three=conv(8, 8), four=conv(8, 8))


def reads_in_the_middle() -> nn.Module:
    """The maps between convolution and pooling are read again further up."""

    def body(s: nn.Module, x: Tensor) -> Tensor:
        x = F.relu(s.one(x))
        return s.pool(x) + s.two(s.pool(x)) + F.avg_pool2d(x, 2)

    return Net(body, one=conv(3, 8), two=conv(8, 8, 1), pool=nn.MaxPool2d(2))


def upsampling() -> nn.Module:
    return Net(lambda s, x: s.up(F.relu(s.one(x))), one=conv(3, 8), up=nn.ConvTranspose2d(8, 8, 2, 2))


def activation_by_keyword() -> nn.Module:
    return Net(lambda net, x: net.relu(input=net.conv(x)), conv=conv(3, 8), relu=nn.ReLU())


def dropout_and_identity() -> nn.Module:
    return Net(
        lambda s, x: s.pool(F.relu(s.nothing(F.dropout(s.one(x), training=s.training)))),
        one=conv(3, 8),
        nothing=nn.Identity(),
        pool=nn.AvgPool2d(2),
    )


def dead_branch() -> nn.Module:
    """An auxiliary classifier whose answer nobody takes."""

    def body(s: nn.Module, x: Tensor) -> Tensor:
        x = F.relu(s.one(x))
        s.unused(x.mean((2, 3)))
        return s.pool(x)

    return Net(body, one=conv(3, 8), unused=nn.Linear(8, 3), pool=nn.MaxPool2d(2))


def halves_behind_the_batch() -> nn.Module:
    """Both halves of the channels lie before the images while a block runs, as ShuffleNet's branches may."""

    def body(s: nn.Module, x: Tensor) -> Tensor:
        x = F.relu(s.stem(x))
        n, c, h, w = x.size()
        halves = x.reshape(n * c // 2, 2, h * w).permute(1, 0, 2).reshape(2, -1, c // 2, h, w)
        left = F.relu(s.two(F.relu(s.one(halves[0]))))
        return torch.cat([left, halves[1]], 1)

    return Net(body, stem=conv(3, 8), one=conv(4, 4), two=conv(4, 4))


def ceiling_averages() -> nn.Module:
    return Net(
        lambda s, x: s.pool(s.one(x)),
        one=conv(3, 8, 1),
        pool=nn.AvgPool2d(3, 2, ceil_mode=True),
    )


CASES = {
    "shared_conv": Case(shared_conv, refusal="shared"),
    "shared_norm": Case(shared_norm, refusal="shared"),
    "two_heads": Case(TwoHeads, rules=("low_rank",)),
    "two_heads_alike": Case(TwoHeadsAlike, refusal="lead to several answers"),
    "two_inputs": Case(TwoInputs, refusal="2 inputs (x, mask)", whole=True),
    "value_dependent": Case(ValueDependent, refusal="depends on values of tensors", whole=True),
    "hidden_write": Case(hidden_write, rules=("low_rank",)),
    "functional_weights": Case(Weights, rules=("low_rank",)),
    "list_of_blocks": Case(ListOfBlocks, rules=("residual",)),
    "shuffle": Case(Shuffle, refusal="do not start at one fork"),
    "residual_around_pooling": Case(residual_around_pooling, rules=("streamline",), refusal="no chain"),
    "strides_that_differ": Case(strides_that_differ, rules=("low_rank", "branch")),
    "asymmetric_padding": Case(asymmetric_padding, rules=("low_rank",)),
    "same_padding": Case(same_padding, rules=("compose",)),
    "dilated": Case(dilated, rules=("low_rank",), refusal="dilated"),
    "grouped": Case(grouped, refusal="grouped"),
    "long_kernels": Case(long_kernels, rules=("compose",)),
    "squeeze_and_excite": Case(squeeze_and_excite, rules=("low_rank",), refusal="no chain"),
    "norm_without_statistics": Case(norm_without_statistics, refusal="running statistics", whole=True),
    "nested_residuals": Case(nested_residuals, rules=("residual",)),
    "reads_in_the_middle": Case(reads_in_the_middle, refusal="also feeds"),
    "upsampling": Case(upsampling, rules=("low_rank",)),
    "dropout_and_identity": Case(dropout_and_identity, rules=("low_rank",)),
    "activation_by_keyword": Case(activation_by_keyword),
    "dead_branch": Case(dead_branch, rules=("streamline",)),
    "halves_behind_the_batch": Case(halves_behind_the_batch, rules=("low_rank",)),
    "ceiling_averages": Case(ceiling_averages, rules=("compose",)),
}
