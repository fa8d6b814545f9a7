"""Exported operations that hand values on as they are, or fill maps with one number."""

from typing import Any

import torch
from torch import fx

from merges.reading.builder import Builder, Made, Unsupported, handles


@handles(
    "dropout.default",
    "feature_dropout.default",
    "alpha_dropout.default",
    "feature_alpha_dropout.default",
    "native_dropout.default",
)
def _dropout(b: Builder, input: Any, p: float, train: bool | None) -> Made:
    if train and p:
        raise Unsupported("it drops values at random when it answers")
    return (input, None) if "native" in b.operation else input


@handles("clone.default", "contiguous.default", "detach.default", "alias.default", "lift_fresh_copy.default")
def _copy(b: Builder, self: Any, memory_format: Any = None) -> Made:
    return self


@handles("_to_copy.default", "to.dtype", "to.device", "to.dtype_layout", "type_as.default")
def _converted(b: Builder, self: fx.Node, **given: Any) -> Made:
    assert b.origin is not None
    before, after = b.origin.all_input_nodes[0].meta["val"].dtype, b.origin.meta["val"].dtype
    return self if before == after else b.function(torch.Tensor.to, self, after)


@handles(
    "fill.Scalar",
    "fill.Tensor",
    "zero.default",
    "zeros_like.default",
    "empty_like.default",
    "ones_like.default",
    "full_like.default",
    "new_zeros.default",
    "new_ones.default",
    "new_full.default",
)
def _filled(b: Builder, self: Any, value: Any = None, fill_value: Any = None, **given: Any) -> Made:
    """One number everywhere: a constant, of one image where there is one for each."""
    assert b.origin is not None
    number = value if value is not None else fill_value
    if isinstance(number, fx.Node):
        raise Unsupported("it fills maps with a value that is worked out")
    if number is None:
        number = float("ones" in b.operation)
    sizes = [1 if isinstance(size, str) else size for size in b.answer_sizes()]
    constant = torch.full(sizes, float(number), dtype=b.origin.meta["val"].dtype)
    written = b.operation.startswith(("fill", "zero.")) and b.answer_sizes()[:1] == b.sizes(b.images)[:1]
    return b.for_each_image(constant) if written else constant


@handles("copy.default")
def _written_over(b: Builder, self: Any, src: Any, non_blocking: bool = False) -> Made:
    if isinstance(src, fx.Node) and b.sizes(src) == b.answer_sizes():
        return src
    raise Unsupported("it writes values of another shape over maps")
