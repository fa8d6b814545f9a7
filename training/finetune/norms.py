"""Batch norms behind convolutions while a network learns; afterwards they are folded into them.

A network's norms are folded before it is merged, and merged layers never had any. With norms a network learns
faster and bears larger steps (Ioffe and Szegedy 2015; RepVGG, Ding et al. 2021, folds them the same way).
"""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from training.finetune.hooks import hooked_outputs
from training.store import WeightStore

_MEASURED, _BATCH = 256, 32  # images
_LEAST_VARIANCE = 1e-6
_SMALLEST = 2  # sides of a map; of single values a batch's norm would be noise


class Normed(nn.Sequential):
    """A convolution and its norm."""


@torch.no_grad()
def put(network: nn.Module, images: Callable[[Tensor], Tensor], count: int = _MEASURED) -> None:
    """Put norms that change nothing behind all convolutions that make maps, in place.

    They are measured on the first 256 of `count` images, which `images` gives by index.
    """
    for name, (mean, variance) in _moments(network, images, count).items():
        network.set_submodule(name, Normed(network.get_submodule(name), _unchanging(mean, variance)))


@torch.no_grad()
def put_like(
    network: nn.Module,
    teacher: nn.Module,
    kept: Mapping[str, Tensor],
    images: Callable[[Tensor], Tensor],
    count: int = _MEASURED,
) -> None:
    """Put norms that give every channel the mean and variance that it has in a wider teacher, in place.

    Without it, what channels that were cut had added is missing in every layer, and ever more of it (norms
    measured anew after pruning: EagleEye, Li et al. 2020).

    Parameters
    ----------
    kept : by convolution, which outputs of the teacher's are left
    """
    put_: list[nn.BatchNorm2d] = []
    for name, (mean, variance) in _moments(teacher, images, count).items():
        norm = _unchanging(mean[kept[name]], variance[kept[name]])
        network.set_submodule(name, Normed(network.get_submodule(name), norm))
        put_.append(norm.train())
        norm.momentum, usual = None, norm.momentum  # the mean over all batches
    for index in _first(count):
        network(images(index))
    for norm in put_:
        norm.momentum = usual


def _first(count: int) -> Sequence[Tensor]:
    """Indices of the images to measure on, in batches."""
    return torch.arange(min(count, _MEASURED)).split(_BATCH)


def _moments(
    network: nn.Module, images: Callable[[Tensor], Tensor], count: int
) -> dict[str, tuple[Tensor, Tensor]]:
    """Mean and variance of every channel of the convolutions that make maps, over the first images."""
    convs = {name: layer for name, layer in network.named_modules() if isinstance(layer, nn.Conv2d)}
    seen: dict[str, list[Tensor]] = {}
    network.eval()
    with hooked_outputs(network, convs) as outputs:
        for index in _first(count):
            network(images(index))
            for name, made in outputs.items():
                if min(made.shape[2:]) >= _SMALLEST:
                    moments = torch.stack([made.mean((0, 2, 3)), made.square().mean((0, 2, 3))])
                    seen.setdefault(name, []).append(moments)
    means = {name: torch.stack(parts).mean(0) for name, parts in seen.items()}
    return {name: (mean, square - mean.square()) for name, (mean, square) in means.items()}


def _unchanging(mean: Tensor, variance: Tensor) -> nn.BatchNorm2d:
    """A norm that gives these moments, and changes nothing that has them."""
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


def read_folded(store: WeightStore, name: str, network: nn.Module) -> dict[str, str] | None:
    """Read the weights of a network that norms were folded into, in place; their notes, None if not usable.

    Convolutions that had no biases have got them by it.
    """
    without = {
        f"{path}.bias": layer
        for path, layer in network.named_modules()
        if isinstance(layer, nn.Conv2d) and layer.bias is None
    }
    biases = {path: layer.weight.new_zeros(layer.out_channels) for path, layer in without.items()}
    known = store.read(name, network.state_dict(), biases)
    if known is None:
        return None
    weights, notes = known
    for path in without.keys() & weights.keys():
        without[path].bias = nn.Parameter(biases[path])
    network.load_state_dict(weights)
    return notes
