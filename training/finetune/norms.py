"""Batch norms behind convolutions while a network learns; afterwards they are folded into them.

A network's norms are folded before it is merged, and merged layers never had any. With norms a network learns
faster and bears larger steps (Ioffe and Szegedy 2015; RepVGG, Ding et al. 2021, folds them the same way).
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

_LEAST_VARIANCE = 1e-6
_SMALLEST = 2  # sides of a map; of single values a batch's norm would be noise


class Normed(nn.Sequential):
    """A convolution and its norm."""


@torch.no_grad()
def put(network: nn.Module, images: Callable[[Tensor], Tensor], count: int, batch: int = 32) -> None:
    """Put norms that change nothing behind all convolutions that make maps, in place.

    They are measured on the first `count` images, which `images` gives by index.
    """
    convs = {name: layer for name, layer in network.named_modules() if isinstance(layer, nn.Conv2d)}
    seen: dict[str, list[Tensor]] = {}

    def watched(name: str) -> Callable[..., None]:
        def hook(_layer: nn.Module, _inputs: Any, made: Tensor) -> None:
            if min(made.shape[2:]) >= _SMALLEST:
                seen.setdefault(name, []).append(
                    torch.stack([made.mean((0, 2, 3)), made.square().mean((0, 2, 3))])
                )

        return hook

    hooks = [layer.register_forward_hook(watched(name)) for name, layer in convs.items()]
    network.eval()
    for index in torch.arange(count).split(batch):
        network(images(index))
    for hook in hooks:
        hook.remove()
    for name, parts in seen.items():
        mean, square = torch.stack(parts).mean(0)
        network.set_submodule(name, Normed(convs[name], _unchanging(mean, square - mean.square())))


def _unchanging(mean: Tensor, variance: Tensor) -> nn.BatchNorm2d:
    norm = nn.BatchNorm2d(len(mean))
    assert norm.running_mean is not None
    assert norm.running_var is not None
    norm.running_mean.copy_(mean)
    norm.running_var.copy_(variance.clamp_min(_LEAST_VARIANCE))
    norm.weight.copy_((norm.running_var + norm.eps).sqrt())
    norm.bias.copy_(mean)
    return norm


def fold(network: nn.Module) -> None:
    """Fold the norms that were put, in place."""
    for name, layer in list(network.named_modules()):
        if isinstance(layer, Normed):
            conv, norm = layer.eval()
            assert isinstance(conv, nn.Conv2d)
            assert isinstance(norm, nn.BatchNorm2d)
            network.set_submodule(name, fuse_conv_bn_eval(conv, norm))
