"""Exported operations that become poolings."""

from typing import Any

import torch
from torch import fx, nn

from merges.functions import cut
from merges.reading.builder import Builder, Made, each_side, handles


@handles("max_pool2d.default", "max_pool2d_with_indices.default")
def _max_pool(
    b: Builder,
    self: fx.Node,
    kernel_size: Any,
    stride: Any = (),
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
) -> Made:
    window = each_side(kernel_size, 2)
    steps = each_side(stride, 2) if stride else window
    pool = nn.MaxPool2d(
        _square(window), _square(steps), _square(padding), _square(dilation), ceil_mode=ceil_mode
    )
    pool.ceil_mode = pool.ceil_mode and not _over_the_end(b, self, window, steps, each_side(padding, 2))
    node = b.layer(pool, self)
    return (node, None) if "indices" in b.operation else node


@handles("avg_pool2d.default")
def _avg_pool(
    b: Builder,
    self: fx.Node,
    kernel_size: Any,
    stride: Any = (),
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Made:
    window = each_side(kernel_size, 2)
    steps = each_side(stride, 2) if stride else window
    ceil_mode = ceil_mode and not _over_the_end(b, self, window, steps, each_side(padding, 2))
    counts = ceil_mode, count_include_pad, divisor_override
    return b.layer(nn.AvgPool2d(_square(window), _square(steps), _square(padding), *counts), self)


@handles("adaptive_avg_pool2d.default", "_adaptive_avg_pool2d.default")
def _adaptive_avg_pool(b: Builder, self: fx.Node, output_size: Any) -> Made:
    if list(b.sizes(self)[-2:]) == list(output_size):
        return self
    return b.layer(nn.AdaptiveAvgPool2d(_square(output_size)), self)


@handles("adaptive_max_pool2d.default")
def _adaptive_max_pool(b: Builder, self: fx.Node, output_size: Any) -> Made:
    """Windows of one size where the sizes divide; exporters know no others, which are cut out one by one."""
    first = len(b.sizes(self)) - 2
    pairs = [(int(b.sizes(self)[first + i]), want) for i, want in enumerate(each_side(output_size, 2))]
    if all(side % want == 0 for side, want in pairs):
        return b.layer(nn.MaxPool2d(_square([side // want for side, want in pairs])), self), None
    made = self
    for dim, (side, want) in enumerate(pairs, first):
        windows = [(i * side // want, -(-(i + 1) * side // want)) for i in range(want)]
        cells = [b.function(cut, made, dim, start, stop) for start, stop in windows]
        most = [b.function(torch.amax, cell, (dim,), True) for cell in cells]
        made = b.function(torch.cat, most, dim)
    return made, None


def _over_the_end(b: Builder, source: fx.Node, window: Any, steps: Any, padding: Any) -> bool:
    """Whether a window that `ceil_mode` adds would begin behind the maps.

    PyTorch leaves it out, which is as without `ceil_mode`; exporters and runtimes count it.
    """
    sides = zip(
        b.sizes(source)[-2:], b.answer_sizes(0 if "indices" in b.operation else None)[-2:], strict=True
    )
    return any(
        -(-(int(before) + 2 * pad - size) // step) + 1 > int(after)
        for (before, after), size, step, pad in zip(sides, window, steps, padding, strict=True)
    )


def _square(value: Any) -> Any:
    """One number where both sides are equal."""
    height, width = each_side(value, 2)
    return height if height == width else (height, width)


@handles("avg_pool1d.default", "avg_pool3d.default", "max_pool1d.default", "adaptive_avg_pool1d.default")
def _other_pool(b: Builder, self: fx.Node, **given: Any) -> Made:
    function = getattr(nn.functional, b.operation.removesuffix(".default"))
    return b.function(function, self, *given.values())
