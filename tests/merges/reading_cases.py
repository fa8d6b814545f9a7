"""Networks that were once read wrongly, or refused though they are plain: name -> what builds them."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations, prune

from tests.merges.awkward import Net, conv

CASES: dict[str, Callable[[], nn.Module]] = {}


def case(build: Callable[[], nn.Module]) -> Callable[[], nn.Module]:
    """Enter a network under its function's name."""
    CASES[build.__name__] = build
    return build


def _body(name: str, forward: Callable[[nn.Module, Tensor], Tensor], maps: int = 8, **parts: object) -> None:
    """Enter a network by its body; parts are functions, so that every build has new ones."""
    CASES[name] = lambda: Net(forward, maps, **{key: build() for key, build in parts.items()})  # type: ignore[operator]


def _conv(channels: int, maps: int, kernel: int = 3, **options: object) -> Callable[[], nn.Module]:
    return lambda: conv(channels, maps, kernel, **options)


def _scaled_sum(s: nn.Module, x: Tensor) -> Tensor:
    x = F.relu(s.stem(x))
    return torch.add(s.one(x), s.two(x), alpha=0.5).add(x, alpha=0.1) + torch.add(x, other=s.two(x))


def _branches(s: nn.Module, x: Tensor) -> Tensor:
    x = F.relu(s.stem(x))
    a, b = F.relu(s.a(x)), F.relu(s.b(x))
    return F.max_pool2d(torch.cat([a, b, b], 1), 2)


def _interleaved(s: nn.Module, x: Tensor) -> Tensor:
    x = F.relu(s.stem(x))
    a = s.a(x)
    b = s.c(F.relu(s.b(x)))
    return torch.cat([F.relu(a), b], 1)  # a is activated last


def _chunks(s: nn.Module, x: Tensor) -> Tensor:
    x = F.relu(s.stem(x))
    rest = torch.cat(x.chunk(4, 1)[1:], 1)
    turned = s.one(torch.cat(x.chunk(2, 1)[::-1], 1))
    return torch.cat([rest, turned, x[:, ::3], x[:, -2:]], 1)


def _writes(s: nn.Module, x: Tensor) -> Tensor:
    x = s.stem(x)
    x[:, :4].mul_(0.1)
    x[:, 5] = 0.5
    x[:, ::3, 1:] += 1
    left, _ = x.split(4, 1)
    return s.one(x) + torch.cat([left, left], 1)


def _in_place(s: nn.Module, x: Tensor) -> Tensor:
    x = s.stem(x)
    return s.one(s.act(x)) + x + s.one(F.relu(x, inplace=True))


def _sizes(s: nn.Module, x: Tensor) -> Tensor:
    assert x.shape[1] == 3 and x.dim() == 4
    x = F.relu(s.stem(x))
    small = F.avg_pool2d(x, 2)
    x = x + F.interpolate(small, size=x.shape[2:]) + F.avg_pool2d(x, x.size()[2:])
    height = x.shape[-2]
    pad = max((-(-height // 2) - 1) * 2 + 3 - height, 0)
    return s.one(F.pad(x, (pad // 2, pad - pad // 2, pad // 2, pad - pad // 2)))


def _shuffled(s: nn.Module, x: Tensor) -> Tensor:
    x = F.relu(s.stem(x))
    n, c, h, w = x.size()
    x = x.reshape(n * c // 2, 2, h * w).permute(1, 0, 2).reshape(2, -1, c // 2, h, w)
    return torch.cat([x[0], F.relu(s.one(x[1]))], 1)


def _adaptive(s: nn.Module, x: Tensor) -> Tensor:
    x = F.adaptive_max_pool2d(s.stem(x), (7, 5))
    return F.adaptive_max_pool2d(F.interpolate(x, scale_factor=2), (7, 2)) + F.adaptive_avg_pool2d(x, (7, 2))


def _gated(s: nn.Module, x: Tensor) -> Tensor:
    x = F.relu6(s.stem(x) + 3) / 6 * s.stem(x)
    return x * torch.sigmoid(x) * s.scale.weight


class Gain(nn.Module):
    """A number a channel, which the network reads itself."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.rand(8, 1, 1))


class MyNorm(nn.BatchNorm2d):
    def forward(self, input: Tensor) -> Tensor:
        return super().forward(input) * 2


_body("scaled_sums", _scaled_sum, stem=_conv(3, 8), one=_conv(8, 8), two=_conv(8, 8, 1))
_body("the_same_maps_twice", _branches, 20, stem=_conv(3, 8), a=_conv(8, 4, 1), b=_conv(8, 8))
_body(
    "interleaved_branches",
    _interleaved,
    14,
    stem=_conv(3, 8),
    a=_conv(8, 6, 1),
    b=_conv(8, 4, 1),
    c=_conv(4, 8),
)
_body("windows_over_the_end", lambda s, x: s.two(s.one(s.stem(x))), stem=_conv(3, 8),
      one=lambda: nn.AvgPool2d(2, 4, ceil_mode=True),
      two=lambda: nn.MaxPool2d(2, 3, ceil_mode=True))  # fmt: skip
_body("alias_of_transpose", lambda s, x: s.one(s.stem(x).swapaxes(2, 3)), stem=_conv(3, 8), one=_conv(8, 8))
_body("narrowed", lambda s, x: s.one(s.stem(x).narrow(1, 2, 5)), stem=_conv(3, 8), one=_conv(5, 8))
_body("chunks_and_steps", _chunks, 19, stem=_conv(3, 8), one=_conv(8, 8))
_body("writes_through_views", _writes, stem=_conv(3, 8), one=_conv(8, 8))
_body(
    "activation_in_place",
    _in_place,
    stem=_conv(3, 8),
    one=_conv(8, 8),
    act=lambda: nn.Hardswish(inplace=True),
)
_body("sizes_worked_out", _sizes, stem=_conv(3, 8), one=_conv(8, 8, stride=2))
_body("moved_batch", _shuffled, stem=_conv(3, 8), one=_conv(4, 4))
_body("adaptive_pooling", _adaptive, stem=_conv(3, 8))
_body("gates", _gated, stem=_conv(3, 8), scale=Gain)
_body("python_sum", lambda s, x: sum(F.relu(b(x)) for b in (s.a, s.b)) + 1.0, a=_conv(3, 8), b=_conv(3, 8, 5))  # type: ignore[arg-type,return-value]
_body("names_that_clash", lambda s, x: s.relu(s.output(F.relu(s.conv_relu(F.avg_pool2d(x, 2))))),
      conv_relu=_conv(3, 8), output=_conv(8, 8), relu=lambda: nn.LeakyReLU(0.3))  # fmt: skip
_body("subclassed_norm", lambda s, x: F.relu(s.bn(s.stem(x))), stem=_conv(3, 8), bn=lambda: MyNorm(8))
_body("sync_norm", lambda s, x: F.relu(s.bn(s.stem(x))), stem=_conv(3, 8), bn=lambda: nn.SyncBatchNorm(8))
_body("functional_norm", lambda s, x: F.batch_norm(s.stem(x), s.bn.running_mean, s.bn.running_var, eps=0.1),
      stem=_conv(3, 8), bn=lambda: nn.BatchNorm2d(8))  # fmt: skip
_body("norm_behind_dropout", lambda s, x: F.relu(s.bn(s.nothing(s.drop(s.stem(x))))), stem=_conv(3, 8),
      drop=nn.Dropout2d, nothing=nn.Identity, bn=lambda: nn.BatchNorm2d(8))  # fmt: skip
_body("shared_norm_and_scale", lambda s, x: F.relu(s.bn(s.one(F.relu(s.bn(s.stem(x)) * 2))) * 3 + 1),
      stem=_conv(3, 8), one=_conv(8, 8), bn=lambda: nn.BatchNorm2d(8))  # fmt: skip
_body("random_slopes", lambda s, x: F.rrelu(s.act(s.stem(x)), 0.1, 0.5), stem=_conv(3, 8), act=nn.RReLU)
_body("instance_and_group_norm", lambda s, x: s.a(s.b(s.stem(x))), stem=_conv(3, 8),
      a=lambda: nn.InstanceNorm2d(8, affine=True), b=lambda: nn.GroupNorm(2, 8))  # fmt: skip


@case
def hooks_that_change_maps() -> nn.Module:
    net = Net(lambda s, x: F.relu(s.bn(s.stem(x))), stem=conv(3, 8), bn=nn.BatchNorm2d(8))
    net.get_submodule("stem").register_forward_hook(lambda module, given, made: made * 2)
    net.get_submodule("bn").register_forward_pre_hook(lambda module, given: (given[0] + 1,))
    return net


@case
def regions_of_a_precision() -> nn.Module:
    def body(s: nn.Module, x: Tensor) -> Tensor:
        with torch.autocast("cpu", enabled=False), torch.no_grad():
            x = F.relu(s.stem(x), inplace=True)
        with torch.no_grad():
            x = s.one(x)
        return torch.addcmul(x, x, x, value=0.5).narrow(1, 2, 4)

    return Net(body, maps=4, stem=conv(3, 8), one=conv(8, 8))


@case
def pruned() -> nn.Module:
    net = Net(lambda s, x: F.relu(s.one(F.relu(s.stem(x)))), stem=conv(3, 8), one=conv(8, 8))
    prune.l1_unstructured(net.get_submodule("stem"), "weight", 0.5)
    return net


@case
def normed_weights() -> nn.Module:
    one = parametrizations.weight_norm(conv(3, 8))
    two = parametrizations.spectral_norm(conv(8, 8))
    return Net(lambda s, x: F.relu(s.two(F.relu(s.one(x)))), one=one, two=two)


@case
def shared_linear() -> nn.Module:
    """A linear norm of one dimension, shared, with a scale behind it."""

    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem, self.one, self.two, self.bn = (
                conv(3, 6),
                nn.Linear(6, 6),
                nn.Linear(6, 6),
                nn.BatchNorm1d(6),
            )

        def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
            x = F.relu(self.stem(x)).mean((2, 3))
            x = self.bn(self.two(F.relu(self.bn(self.one(x)) * 2))) * 3
            return x if mask is None else x * mask

    return Twice()


@case
def parallel_wrapper() -> nn.Module:
    return nn.DataParallel(Net(lambda s, x: F.relu(s.stem(x)), stem=conv(3, 8)))


@case
def compiled() -> nn.Module:
    return torch.compile(Net(lambda s, x: F.relu(s.stem(x)), stem=conv(3, 8)))  # type: ignore[return-value]
