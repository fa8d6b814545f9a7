"""Parts of random networks: from maps to maps, in one of the ways in which people write them."""

from collections.abc import Callable
from random import Random
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations, prune, spectral_norm, weight_norm

Forward = Callable[[Any, Tensor], Any]  # the part, maps -> maps


class Part(nn.Module):
    """Layers and what is done with them: `forward` is a function of the part and the maps."""

    def __init__(self, kind: str, body: Forward, **layers: nn.Module) -> None:
        super().__init__()
        self.kind, self.body = kind, body
        for name, part in layers.items():
            self.add_module(name, part)

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = self.body(self, x)
        return made

    def extra_repr(self) -> str:
        return self.kind


def divisor(r: Random, *numbers: int) -> int:
    """A number that divides all of them."""
    return r.choice([n for n in range(1, min(numbers) + 1) if all(number % n == 0 for number in numbers)])


def random_norm(norm: nn.Module) -> nn.Module:
    """The norm with random statistics and weights."""
    for name, tensor in norm.state_dict().items():
        if tensor.is_floating_point():
            _ = tensor.uniform_(0.5, 1.5) if name in ("weight", "running_var") else tensor.normal_(0, 0.3)
    return norm


def conv(r: Random, channels: int, maps: int = 0, same: bool = False) -> nn.Module:
    """Any convolution; with `same`, one that keeps the sides."""
    maps = maps or r.choice([4, 6, 8, 12, 16])
    if r.random() < 0.5:  # what most networks have: the others seldom become a site
        side, step = r.choice([1, 3, 3, 5]), 1 if same else r.choice([1, 1, 2])
        return nn.Conv2d(channels, maps, side, step, side // 2, bias=r.random() < 0.5)
    kernel = r.choice([1, 3, 3, 5, (1, 3), (3, 1)]) if same else r.choice([1, 2, 3, 3, 4, 5, (1, 5), (3, 2)])
    dilation = r.choice([1, 1, 1, 2])
    half = tuple(
        dilation * (side // 2) for side in (kernel if isinstance(kernel, tuple) else (kernel, kernel))
    )
    groups = divisor(r, channels, maps) if r.random() < 0.3 else 1
    padding = r.choice(["same", half]) if same else r.choice([0, half, half, 1, "valid"])
    mode = r.choice(["zeros"] * 6 + ["reflect", "replicate", "circular"])
    stride = 1 if same else r.choice([1, 1, 2, (2, 1)])
    bias = r.random() < 0.5
    made = nn.Conv2d(channels, maps, kernel, stride, padding, dilation, groups, bias, padding_mode=mode)  # type: ignore[arg-type]
    return reparametrised(r, made) if r.random() < 0.12 else made


def reparametrised(r: Random, layer: nn.Module) -> nn.Module:
    """The layer with weights that are worked out from others, or with a hook that changes its maps."""
    way = r.randrange(7)
    if way == 0:
        return weight_norm(layer)
    if way == 1:
        return parametrizations.weight_norm(layer)
    if way == 2:
        return spectral_norm(layer)
    if way == 3:
        return parametrizations.spectral_norm(layer)
    if way == 4:
        prune.l1_unstructured(layer, "weight", 0.5)
    elif way == 5:
        layer.register_forward_hook(lambda layer, inputs, output: output * 2)
    else:
        layer.register_forward_pre_hook(lambda layer, inputs: (inputs[0] + 0.5,))
    return layer


def norm(r: Random, channels: int) -> nn.Module:
    """Any norm; mostly a batch norm."""
    batch = nn.BatchNorm2d(channels, r.choice([1e-5, 1e-3, 0.1]), affine=r.random() < 0.8)
    last = nn.LayerNorm(channels)
    makers: list[Callable[[], nn.Module]] = [
        lambda: nn.GroupNorm(divisor(r, channels), channels),
        lambda: nn.InstanceNorm2d(channels, affine=True),
        lambda: nn.LocalResponseNorm(r.choice([3, 4, 5]), 0.1),
        lambda: Part("F.normalize", lambda s, x: F.normalize(x, dim=1)),
        lambda: Part("over channels", lambda s, x: s.ln(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2), ln=last),
    ]
    return random_norm(batch if r.random() < 0.8 else r.choice(makers)())


def activation(r: Random, channels: int) -> nn.Module:
    """An activation as a layer or a function, in place or not."""
    inplace = r.random() < 0.4
    if r.random() < 0.5:
        return nn.ReLU(inplace)
    kind = r.choice(
        [nn.ReLU, nn.ReLU, nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.Hardswish, nn.SiLU, nn.Hardsigmoid, nn.ELU]
    )
    others: list[Callable[[], nn.Module]] = [
        lambda: nn.GELU(r.choice(["none", "tanh"])),
        lambda: nn.PReLU(r.choice([1, channels])),
        nn.Tanh,
        lambda: Part("F.relu", lambda s, x: F.relu(x, inplace)),
        lambda: Part("F.relu", lambda s, x: F.relu(x, inplace)),
        lambda: Part("x.relu_", lambda s, x: x.relu_()),
        lambda: Part("torch.relu", lambda s, x: torch.relu(input=x)),
        lambda: Part("clamp", lambda s, x: x.clamp(min=0, max=6)),
        lambda: Part("hard swish", lambda s, x: x * F.relu6(x + 3) / 6),
        lambda: Part("swish", lambda s, x: torch.sigmoid(x) * x),
        lambda: Part("leaky", lambda s, x: F.leaky_relu(x, 0.2, inplace)),
    ]
    return kind(inplace=inplace) if r.random() < 0.5 else r.choice(others)()


def pool(r: Random, channels: int, same: bool = False) -> nn.Module:
    """A pooling; with `same`, one that keeps the sides."""
    if same:
        return r.choice([nn.MaxPool2d(3, 1, 1), nn.AvgPool2d(3, 1, 1, count_include_pad=r.random() < 0.5)])
    kernel: Any = r.choice([2, 2, 3, (2, 3)])
    ceil, count = r.random() < 0.4, r.random() < 0.5
    size: Any = r.choice([6, (7, 5), (5, 6)])
    stride, padding = r.choice([1, 2, 2, 3]), r.choice([0, 0, 1])
    makers: list[Callable[[], nn.Module]] = [
        lambda: nn.MaxPool2d(kernel, stride, padding, ceil_mode=ceil),
        lambda: nn.AvgPool2d(kernel, stride, padding, ceil, count),
        lambda: nn.AdaptiveAvgPool2d(r.choice([size, (None, 6)])),
        lambda: nn.AdaptiveMaxPool2d(size),
        lambda: Part("F.max_pool2d", lambda s, x: F.max_pool2d(x, kernel, stride, padding, ceil_mode=ceil)),
        lambda: Part("F.avg_pool2d", lambda s, x: F.avg_pool2d(x, (x.size(2) // 4 + 1, x.size(3) // 4 + 1))),
        lambda: Part("mean and deviation", lambda s, x: x - x.mean((2, 3), keepdim=True)),
    ]  # fmt: skip
    return r.choice(makers)()


def scale(channels: int, value: float = 0.8) -> nn.ParameterList:
    """Random weights of one number a channel."""
    return nn.ParameterList([nn.Parameter(torch.rand(channels, 1, 1) + value)])


def arithmetic(r: Random, channels: int) -> nn.Module:
    """Numbers and weights that are added or multiplied."""
    flat = nn.ParameterList([nn.Parameter(torch.rand(channels) + 0.5)])
    return r.choice(
        [
            Part("scale", lambda s, x: x * s.scale[0], scale=scale(channels)),
            Part("shift", lambda s, x: s.scale[0] + x, scale=scale(channels, -0.5)),
            Part("layer scale", lambda s, x: s.scale[0].view(1, -1, 1, 1) * x, scale=flat),
            Part("divide", lambda s, x: x.div(s.scale[0][None, :, None, None]), scale=flat),
            Part("numbers", lambda s, x: (1 - x) / 3 + 0.1),
            Part("in place", lambda s, x: x.clone().mul_(2).add_(x, alpha=0.5)),
            Part("+=", _added_to),
            Part("twice", lambda s, x: x + x),
            Part("alpha", lambda s, x: torch.add(x, x.flip(3), alpha=-0.5)),
            Part("sum()", lambda s, x: sum([x, 2 * x, x.abs()])),
            Part("nothing", lambda s, x: s.nothing(x * 1 + 0), nothing=nn.Identity()),
            nn.Dropout(0.3),
            nn.Dropout2d(0.3, inplace=True),
            Part("F.dropout", lambda s, x: F.dropout(x, 0.5, training=s.training)),
            nn.Sequential(),
        ]
    )


def _added_to(s: Any, x: Tensor) -> Tensor:
    y = x * 0.5
    y += x
    y -= 0.25
    y *= 2
    return y


def views(r: Random, channels: int) -> nn.Module:
    """Sizes, views, permutations, slices."""
    groups = divisor(r, channels)
    few = max(1, channels // 2)

    def shuffled(s: Any, x: Tensor) -> Tensor:
        batch, maps, height, width = x.size()
        x = x.view(batch, groups, maps // groups, height, width).transpose(1, 2).contiguous()
        return x.view(batch, -1, height, width)

    def asserted(s: Any, x: Tensor) -> Tensor:
        assert x.shape[1] == channels, f"{channels} maps expected"
        torch._assert(x.dim() == 4 and x.shape[2] > 0, "four dimensions")
        return x.reshape(x.shape)

    return r.choice(
        [
            Part(f"shuffle in {groups}", shuffled),
            nn.ChannelShuffle(groups),
            Part("assert", asserted),
            Part("view", lambda s, x: x.contiguous().view(x.size(0), x.size(1), -1).view(x.size()) * 2),
            Part("flatten", lambda s, x: x.flatten(2).relu().unflatten(2, x.shape[2:])),
            Part("transposed", lambda s, x: x.transpose(2, 3)),
            Part("permuted", lambda s, x: x.permute(0, 3, 2, 1).contiguous().permute(0, 3, 2, 1)),
            Part("slice", lambda s, x: x[:, few:]),
            Part("negative", lambda s, x: x[:, -few:, 1:, :-1]),
            Part("stepped", lambda s, x: x[:, ::2, ::2]),
            Part("flip", lambda s, x: x.flip(1) if groups > 1 else torch.flip(x, (2, 3))),
            Part("narrow", lambda s, x: x.narrow(1, 0, few)),
            Part("index", lambda s, x: x[:, [few - 1, 0, few - 1]]),
            Part("index from the end", lambda s, x: x[:, [-1, 0, -2]]),
            Part("marked", lambda s, x: x[:, torch.arange(x.shape[1]) % 2 == 0]),
            Part("one map", lambda s, x: x[:, 0].unsqueeze(1) + x),
            Part("roll", lambda s, x: torch.roll(x, 1, 1)),
            Part("last of split", lambda s, x: x.split(few, 1)[-1]),
            Part("unbound", lambda s, x: torch.stack(x.unbind(1)[::-1], 1)),
        ]
    )


def writes(r: Random, channels: int) -> nn.Module:
    """Writes into parts of maps, and through views of them."""
    few = max(1, channels // 2)

    def through(view: Callable[[Tensor], Tensor], write: Callable[[Tensor], object]) -> Forward:
        def body(s: Any, x: Tensor) -> Tensor:
            y = x.clone()
            write(view(y))
            return y

        return body

    seen: dict[str, Callable[[Tensor], Tensor]] = {
        "slice": lambda y: y[:, few:],
        "stepped": lambda y: y[:, ::2],
        "window": lambda y: y[:, :, 1:-1, 1:],
        "chunk": lambda y: y.chunk(2, 1)[-1],
        "view": lambda y: y.view(y.size(0), -1),
        "view of slice": lambda y: y.view(y.size(0), channels, -1)[:, :few],
        "one": lambda y: y[:, 0],
        "transposed": lambda y: y.transpose(1, 2)[:, 0],
    }
    written: dict[str, Callable[[Tensor], object]] = {
        "mul_": lambda y: y.mul_(2),
        "relu_": lambda y: y.relu_(),
        "zero_": lambda y: y.zero_(),
        "fill": lambda y: y.fill_(0.5),
        "copy_": lambda y: y.copy_(y.flip(1)),
        "add_": lambda y: y.add_(y, alpha=0.5),
        "F.relu": lambda y: F.relu(y, inplace=True),
    }
    view, write = r.choice(list(seen)), r.choice(list(written))
    return Part(f"{write} of {view}", through(seen[view], written[write]))
