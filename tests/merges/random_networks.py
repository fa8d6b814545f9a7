"""Random networks, driven by hypothesis or by a seed: parts in a row, under names that clash."""

from collections.abc import Callable, Sequence
from random import Random
from typing import Any

import torch
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from tests.merges.random_parts import (
    Forward,
    Part,
    activation,
    arithmetic,
    conv,
    norm,
    pool,
    random_norm,
    scale,
    views,
    writes,
)

SHAPE = (3, 24, 24)
CLASSES = 5
_MOST_MAPS, _LEAST_SIDE, _MOST_SIDE = 40, 3, 48
_NAMES = (
    "relu", "pool_1", "output", "conv_act", "add", "image", "forward_", "conv2d", "0", "12", "block_1",
    "getitem", "relu_1", "mul", "conv", "layer1_0", "input_1", "x", "cat", "constant", "norm", "_1",
    "features", "conv_1x1",
)  # fmt: skip


def chain(r: Random, channels: int, maps: int = 0, same: bool = False) -> nn.Sequential:
    """A convolution and what mostly follows it."""
    first = conv(r, channels, maps, same)
    made = maps or _maps(first, channels)
    follow = [norm(r, made)] if r.random() < 0.6 else []
    follow += [activation(r, made)] if r.random() < 0.7 else []
    follow += [pool(r, made)] if not same and r.random() < 0.4 else []
    return nn.Sequential(first, *follow)


def _maps(layer: nn.Module, channels: int) -> int:
    with torch.no_grad():
        return int(layer.eval()(torch.zeros(1, channels, 12, 12)).shape[1])


def gate(r: Random, channels: int) -> nn.Module:
    """Maps times what is worked out from them."""
    few = max(1, channels // 2)
    sigmoid: Any = r.choice([torch.sigmoid, F.hardsigmoid, lambda x: F.relu6(x + 3.0) / 6.0])
    convs = {"one": nn.Conv2d(channels, few, 1), "two": nn.Conv2d(few, channels, 1)}
    lines = {"one": nn.Linear(channels, few), "two": nn.Linear(few, channels)}

    def linear(s: Any, x: Tensor) -> Tensor:
        batch, maps = x.shape[:2]
        means = F.adaptive_avg_pool2d(x, 1).view(batch, maps)
        return x * sigmoid(s.two(F.relu(s.one(means)))).view(batch, maps, 1, 1).expand_as(x)

    return r.choice(
        [
            Part("SE", lambda s, x: x * sigmoid(s.two(F.relu(s.one(x.mean((2, 3), keepdim=True))))), **convs),
            Part("SE of lines", linear, **lines),
            Part("where", lambda s, x: x * sigmoid(s.one(x)), one=nn.Conv2d(channels, 1, 3, padding=1)),
            Part("max and mean", lambda s, x: torch.sigmoid(x.amax(1, True) + x.mean(1, keepdim=True)) * x),
            Part("softmax", lambda s, x: x * x.flatten(2).softmax(-1).view_as(x)),
        ]
    )


def residual(r: Random, channels: int) -> nn.Module:
    """A shortcut around one or two chains, with a norm or a convolution in it or not, scaled or not."""
    branch = nn.Sequential(chain(r, channels, channels, same=True))
    if r.random() < 0.6:
        branch.append(chain(r, channels, channels, same=True))
    if r.random() < 0.3:
        branch.append(r.choice([gate, writes])(r, channels))
    sides = [
        nn.Identity(),
        nn.Identity(),
        random_norm(nn.BatchNorm2d(channels)),
        nn.Conv2d(channels, channels, 1),
    ]
    ways: list[Forward] = [
        lambda s, x: s.branch(x) + s.side(x),
        lambda s, x: s.side(x).add(s.branch(x), alpha=0.5),
        lambda s, x: F.relu(s.branch(x) + s.side(x), inplace=True),
        lambda s, x: s.branch(x).add_(s.side(x)).relu_(),
        lambda s, x: s.side(x) + s.branch(x) * s.scale[0],
        lambda s, x: sum([s.side(x), s.branch(x), x]),
        lambda s, x: s.side(x) - s.branch(x),
    ]
    return Part("residual", r.choice(ways), branch=branch, side=r.choice(sides), scale=scale(channels))


def inception(r: Random, channels: int) -> nn.Module:
    """Branches of the same maps that are put together, some of them twice or as they came."""
    count, again = r.choice([2, 3, 3, 4]), r.random()
    branches = nn.ModuleList()
    for _ in range(count):
        deeper: list[nn.Module] = [nn.Conv2d(4, 6, 3, padding=1), nn.ReLU()] if r.random() < 0.4 else []
        branches.append(nn.Sequential(conv(r, channels, 4, True), activation(r, 4), *deeper))
    if r.random() < 0.4:
        branches.append(nn.Sequential(pool(r, channels, same=True), nn.Conv2d(channels, 4, 1), nn.ReLU()))

    def body(s: Any, x: Tensor) -> Tensor:
        found = [branch(x) for branch in s.branches]
        found = [found[0], *found] if again < 0.15 else [x, *found] if again < 0.3 else found
        return torch.cat(found, 1) if again < 0.8 else torch.concat(found[::-1], dim=-3)

    return Part("inception", body, branches=branches)


def several_arms(r: Random, channels: int) -> nn.Module:
    """Sums of branches, parallel convolutions, maps that are read from the middle, layers called again."""
    one, two = (nn.Conv2d(channels, channels, side, padding=side // 2) for side in (r.choice([1, 3]), 3))
    bn, relu = random_norm(nn.BatchNorm2d(channels)), nn.ReLU(r.random() < 0.5)
    parts = {"one": one, "two": two, "bn": bn, "relu": relu}
    bodies: dict[str, Forward] = {
        "sum": lambda s, x: s.relu(s.one(x) + s.two(x) + s.bn(x)),
        "sum of chains": lambda s, x: s.bn(s.one(x)) + s.two(x) + x,
        "conv again": lambda s, x: s.one(s.relu(s.one(x))),
        "norm again": lambda s, x: s.relu(s.bn(s.two(s.relu(s.bn(s.one(x)))))),
        "in the middle": lambda s, x: (y := s.relu(s.one(x))) * 0.5 + s.two(y),
        "before and after": lambda s, x: torch.cat([y := s.one(x), s.relu(y)], 1),
        "composed": lambda s, x: s.two(s.one(x)),
        "norm first": lambda s, x: s.two(s.relu(s.bn(x))),
        "norm, then conv": lambda s, x: s.one(s.bn(x)),
        "parallel": lambda s, x: torch.cat([s.relu(s.one(x)), s.bn(s.two(x)), s.one(x)], 1),
        "twice": lambda s, x: torch.cat([x, s.one(x), x], 1),
        "interleaved": lambda s, x: torch.stack([s.one(x), s.two(x)], 2).flatten(1, 2),
        "halves": lambda s, x: torch.cat([*(y := s.one(x)).chunk(2, 1)[::-1], s.bn(y)[:, :1]], 1),
        "mean of chain": lambda s, x: F.avg_pool2d(s.bn(s.two(x)), 3, 1, 1),
        "maximum": lambda s, x: torch.maximum(s.one(x), s.two(x)),
    }
    kind = r.choice(list(bodies))
    return Part(kind, bodies[kind], **parts)


def sides(r: Random, channels: int) -> nn.Module:
    """Maps that grow, or have something put around them."""
    line = nn.Linear(channels, channels)
    return r.choice(
        [
            nn.Upsample(scale_factor=2),
            nn.ConvTranspose2d(channels, 6, 2, 2, bias=r.random() < 0.5),
            nn.ConvTranspose2d(channels, channels, 3, 2, 1, 1, groups=channels),
            nn.ZeroPad2d((0, 1, 0, 1)),
            nn.ReflectionPad2d(1),
            Part("F.pad", lambda s, x: F.pad(x, [1, 1, 2, 2])),
            Part("F.pad of maps", lambda s, x: F.pad(x, [0, 0, 0, 0, 0, 2])),
            Part("F.pad with ones", lambda s, x: F.pad(x, [1, 0, 0, 0], value=1.0)),
            Part("crop", lambda s, x: F.pad(x, [-1, -1, 0, 0])),
            Part("interpolate", lambda s, x: F.interpolate(x, size=x.shape[2:], mode="nearest") + x),
            Part("bilinear", lambda s, x: F.interpolate(x, scale_factor=0.5, mode="bilinear")),
            Part("line", lambda s, x: s.line(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2), line=line),
        ]
    )


_MAKERS: tuple[Callable[[Random, int], nn.Module], ...] = (
    chain, chain, chain, chain, residual, residual, inception, inception, several_arms, several_arms, conv,
    norm, activation, pool, arithmetic, arithmetic, views, views, writes, gate, sides,
)  # fmt: skip


def head(r: Random, channels: int, height: int, width: int) -> nn.Module:
    """Class scores."""
    line, flat = nn.Linear(channels, CLASSES), nn.Linear(channels * height * width, CLASSES)
    score = nn.Conv2d(channels, CLASSES, 1)
    after = random_norm(nn.BatchNorm1d(CLASSES))
    return r.choice(
        [
            Part("mean", lambda s, x: s.line(x.mean([2, 3])), line=line),
            Part("mean twice", lambda s, x: s.line(x.mean(3).mean(2)), line=line),
            nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(), line),
            Part("view", lambda s, x: s.flat(x.reshape(x.size(0), -1)), flat=flat),
            Part(
                "F.avg_pool2d",
                lambda s, x: s.line(F.avg_pool2d(x, x.size()[2:]).view(x.size(0), -1)),
                line=line,
            ),
            Part(
                "scores first",
                lambda s, x: torch.flatten(F.adaptive_avg_pool2d(s.score(x), 1), 1),
                score=score,
            ),
            Part("maximum", lambda s, x: s.line(x.amax((2, 3))), line=line),
            nn.Sequential(nn.AdaptiveMaxPool2d(1), nn.Flatten(), line, after),
        ]
    )


class RandomNetwork(nn.Module):
    """Parts in a row, and a head; `mask` and `gain` are optional and never given."""

    def __init__(self, parts: dict[str, nn.Module], last: nn.Module) -> None:
        super().__init__()
        self.order = list(parts)
        for name, part in parts.items():
            self.add_module(name, part)
        self.classify = last

    def forward(self, x: Tensor, mask: Tensor | None = None, gain: float = 1.0) -> Tensor:
        if mask is not None:
            x = x * mask
        for name in self.order:
            x = self.get_submodule(name)(x)
        scores: Tensor = self.classify(x) * gain
        return scores


def random_network(seeds: Sequence[int]) -> RandomNetwork:
    """A network of a part for each seed; a part that does not fit is left out."""
    made: dict[str, nn.Module] = {}
    with torch.no_grad():
        torch.manual_seed(0)
        x = torch.randn(2, *SHAPE)
        for r in map(Random, seeds):
            torch.manual_seed(r.randrange(10**6))
            name = r.choice([name for name in _NAMES if name not in made])
            maker = conv if x.shape[1] > _MOST_MAPS else r.choice(_MAKERS)
            part = r.choice(list(made.values())) if made and r.random() < 0.1 else maker(r, x.shape[1])
            maps = _fits(part, x)
            if maps is not None:
                made[name], x = part, maps
        return RandomNetwork(made, head(Random(seeds[-1]), *x.shape[1:])).eval()


def _fits(part: nn.Module, x: Tensor) -> Tensor | None:
    """What a part makes of maps; None where it does not take them, or gives something unusable."""
    try:
        maps: Tensor = part.eval()(x.clone())
    except (RuntimeError, ValueError, IndexError, AssertionError):
        return None
    if maps.ndim != 4 or not bool(torch.isfinite(maps).all()) or float(maps.std()) < 1e-3:
        return None
    return maps if min(maps.shape[2:]) >= _LEAST_SIDE and max(maps.shape[2:]) <= _MOST_SIDE else None


def random_networks(parts: int) -> st.SearchStrategy[RandomNetwork]:
    """Networks of at most so many parts, which hypothesis shrinks by leaving parts out."""
    return st.lists(st.integers(0, 2**32), min_size=1, max_size=parts).map(random_network)
