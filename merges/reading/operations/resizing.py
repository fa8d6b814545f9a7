"""Exported operations that put values around maps, or resize them."""

from collections.abc import Sequence
from typing import Any

from torch import fx, nn

from merges.reading.builder import Builder, Made, Unsupported, handles


@handles("pad.default")
def _pad(
    b: Builder, self: fx.Node, pad: Sequence[int], mode: str = "constant", value: float | None = None
) -> Made:
    sides = list(pad)
    while len(sides) > 2 and sides[-2:] == [0, 0] and mode == "constant":
        del sides[-2:]
    if not any(sides):
        return self
    if len(sides) > 2 * (len(b.sizes(self)) - 1):
        raise Unsupported("it pads a batch with more images")
    return b.function(nn.functional.pad, self, sides, mode, value or 0.0 if mode == "constant" else None)


@handles("constant_pad_nd.default")
def _pad_constant(b: Builder, self: fx.Node, pad: Sequence[int], value: float = 0) -> Made:
    return _pad(b, self, pad, "constant", value)


@handles("reflection_pad2d.default", "replication_pad2d.default")
def _pad_mirrored(b: Builder, self: fx.Node, padding: Sequence[int]) -> Made:
    return _pad(b, self, padding, "reflect" if "reflection" in b.operation else "replicate")


@handles(
    "upsample_nearest2d.vec",
    "upsample_bilinear2d.vec",
    "upsample_bicubic2d.vec",
    "_upsample_nearest_exact2d.vec",
)
def _upsample(
    b: Builder,
    input: fx.Node,
    output_size: Sequence[int] | None,
    align_corners: bool | None = None,
    scale_factors: Sequence[float] | None = None,
) -> Made:
    before, after = b.sizes(input)[2:], b.answer_sizes()[2:]
    if before == after:
        return input
    mode = b.operation.removeprefix("_upsample_").removeprefix("upsample_").removesuffix("2d.vec")
    corners = align_corners if mode in ("bilinear", "bicubic") else None
    given: dict[str, Any] = {"mode": mode.replace("_", "-"), "align_corners": corners}
    ratios = [int(new) / int(old) for old, new in zip(before, after, strict=True)]
    if all(ratio.is_integer() for ratio in ratios):
        return b.layer(nn.Upsample(scale_factor=tuple(ratios), **given), input)
    if scale_factors is not None:
        return b.layer(nn.Upsample(scale_factor=tuple(scale_factors), **given), input)
    return b.layer(nn.Upsample(size=tuple(map(int, after)), **given), input)
