"""Convolution layers made of other layers. Nothing here knows a graph."""

import torch
from torch import Tensor, nn

from merges.algebra import compose_kernels, dense_kernel, embed_kernel
from merges.sizes import sides


def make_conv(
    weight: Tensor,
    bias: Tensor | None,
    stride: tuple[int, ...] = (1, 1),
    padding: tuple[int, ...] = (0, 0),
    groups: int = 1,
) -> nn.Conv2d:
    """A convolution with these weights, (out, in / groups, kh, kw) and (out,) or None."""
    maps, channels, height, width = weight.shape
    pairs = {"stride": sides(stride), "padding": sides(padding)}
    conv = nn.Conv2d(channels * groups, maps, (height, width), **pairs, groups=groups, bias=bias is not None)  # type: ignore[arg-type]
    # Weights in another memory order would make maps in that order, which views do not accept.
    conv.weight = nn.Parameter(weight.detach().clone(memory_format=torch.contiguous_format))
    if bias is not None:
        conv.bias = nn.Parameter(bias.detach().clone())
    return conv


def is_plain(conv: nn.Conv2d) -> bool:
    """Whether a convolution pads with zeros by given numbers and looks at neighbouring pixels."""
    return conv.padding_mode == "zeros" and not isinstance(conv.padding, str) and conv.dilation == (1, 1)


def pooling_as_conv(pool: nn.AvgPool2d, channels: int) -> nn.Conv2d | None:
    """The depthwise convolution that an average pooling is; None where its divisor varies at the border."""
    padded = any(sides(pool.padding)) and not pool.count_include_pad
    if padded or pool.ceil_mode or pool.divisor_override is not None:
        return None
    window = sides(pool.kernel_size)
    weight = torch.full((channels, 1, *window), 1 / (window[0] * window[1]))
    return make_conv(weight, None, sides(pool.stride), sides(pool.padding), channels)


def why_not_composed(first: nn.Conv2d, second: nn.Conv2d) -> str | None:
    """Why two convolutions with nothing between are not exactly one; None where they are."""
    if not (is_plain(first) and is_plain(second)):
        return "a dilated convolution, or one with another padding than zeros"
    unpadded = second.padding == (0, 0)
    keeps_zeros = first.kernel_size == (1, 1) and first.padding == (0, 0) and first.bias is None
    if unpadded or keeps_zeros:
        return None
    return "the second pads what the first makes, and one convolution cannot pad in the middle"


def composed_weights(first: nn.Conv2d, second: nn.Conv2d) -> int:
    """Weights (without biases) of the convolution that `composed` makes."""
    groups = first.groups if first.groups == second.groups else 1
    sizes = zip(first.kernel_size, second.kernel_size, first.stride, strict=True)
    height, width = (k + (j - 1) * s for k, j, s in sizes)
    return height * width * first.in_channels // groups * second.out_channels


def composed(first: nn.Conv2d, second: nn.Conv2d) -> nn.Conv2d:
    """One convolution for two with nothing between (up to the border, see `why_not_composed`)."""
    groups = first.groups if first.groups == second.groups else 1
    inside = first.groups // groups, second.groups // groups
    stride = sides(first.stride)
    pairs = zip(first.weight.detach().chunk(groups), second.weight.detach().chunk(groups), strict=True)
    weight = torch.cat([compose_kernels(a, b, stride, inside) for a, b in pairs])
    bias = None if second.bias is None else second.bias.detach()
    if first.bias is not None:
        sums = second.weight.detach().sum((2, 3), keepdim=True)
        shift = dense_kernel(sums, second.groups)[:, :, 0, 0] @ first.bias.detach()
        bias = shift if bias is None else bias + shift
    inner, outer = sides(first.padding), sides(second.padding)  # type: ignore[arg-type]
    padding = tuple(p + q * s for p, q, s in zip(inner, outer, stride, strict=True))
    strides = tuple(s * t for s, t in zip(stride, sides(second.stride), strict=True))
    return make_conv(weight, bias, strides, padding, groups)


def summed(convs: list[nn.Conv2d]) -> nn.Conv2d:
    """One convolution for the sum of several of the same input, all plain and of the same stride.

    Kernels are placed so that their paddings fall together (a 1x1 is the centre of a padded 3x3).
    """
    pads = [sides(conv.padding) for conv in convs]  # type: ignore[arg-type]
    top, left = max(p for p, _ in pads), max(p for _, p in pads)
    height = max(top - p + conv.kernel_size[0] for conv, (p, _) in zip(convs, pads, strict=True))
    width = max(left - p + conv.kernel_size[1] for conv, (_, p) in zip(convs, pads, strict=True))
    groups = convs[0].groups if len({conv.groups for conv in convs}) == 1 else 1
    weight: Tensor | float = 0.0
    for conv, (row, column) in zip(convs, pads, strict=True):
        kernel = conv.weight.detach() if groups > 1 else dense_kernel(conv.weight.detach(), conv.groups)
        weight = weight + embed_kernel(kernel, height, width, top - row, left - column)
    assert isinstance(weight, Tensor)
    biases = [conv.bias.detach() for conv in convs if conv.bias is not None]
    bias = torch.stack(biases).sum(0) if biases else None
    return make_conv(weight, bias, convs[0].stride, (top, left), groups)


def identity_conv(channels: int) -> nn.Conv2d:
    """The depthwise 1x1 convolution that changes nothing."""
    return make_conv(torch.ones(channels, 1, 1, 1), None, groups=channels)
