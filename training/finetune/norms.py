"""Batch norms behind convolutions while a network learns; afterwards they are folded into them.

A network's norms are folded before it is merged, and merged layers never had any. With norms a network learns
faster and bears larger steps (Ioffe and Szegedy 2015; RepVGG, Ding et al. 2021, folds them the same way).
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from training.finetune.hooks import hooked_outputs

MEASURED_IMAGES = 256
_LEAST_VARIANCE = 1e-6
_SMALLEST = 2  # sides of a map; of single values a batch's norm would be noise


class Normed(nn.Sequential):
    """A convolution and its norm."""


@torch.no_grad()
def put(
    network: nn.Module, images: Callable[[Tensor], Tensor], count: int = MEASURED_IMAGES, batch: int = 32
) -> None:
    """Put norms that change nothing behind all convolutions that make maps, in place.

    They are measured on the first `count` images, which `images` gives by index.
    """
    convs = {name: layer for name, layer in network.named_modules() if isinstance(layer, nn.Conv2d)}
    seen: dict[str, list[Tensor]] = {}
    network.eval()
    with hooked_outputs(network, convs) as outputs:
        for index in torch.arange(count).split(batch):
            network(images(index))
            for name, made in outputs.items():
                if min(made.shape[2:]) >= _SMALLEST:
                    moments = torch.stack([made.mean((0, 2, 3)), made.square().mean((0, 2, 3))])
                    seen.setdefault(name, []).append(moments)
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
