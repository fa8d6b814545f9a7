"""What export takes apart is put together again, and what changes nothing goes.

Patterns are matched on the operations alone; the check after reading proves that they mean the same.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import fx, nn

from merges.convs import make_conv
from merges.functions import cut
from merges.graph import fresh_name, layer
from merges.norm import FastLocalResponseNorm
from merges.sizes import sides


def simplify(made: fx.GraphModule) -> None:
    """Rewrite a canonical graph in place, to the fewest nodes that compute the same."""
    for rewrite in (_join_cuts, _pad_inside, _response_norm):
        for node in list(made.graph.nodes):
            rewrite(made, node)
        made.graph.eliminate_dead_code()


def _args(node: fx.Node) -> tuple[Any, ...]:
    return node.args


def _is(node: object, function: Callable[..., object]) -> bool:
    return isinstance(node, fx.Node) and node.op == "call_function" and node.target is function


def becomes(
    made: fx.GraphModule, node: fx.Node, source: fx.Node, steps: Sequence[nn.Module | tuple[int, ...]]
) -> None:
    """Put layers and changes of layout behind a source, in the place of a node and what only leads to it."""
    for step in steps:
        sizes = source.meta["sizes"]
        with made.graph.inserting_before(node):
            if isinstance(step, nn.Module):
                name = fresh_name(made, f"{node.name}_{type(step).__name__.lower()}")
                made.add_submodule(name, step.eval())
                source = made.graph.create_node("call_module", name, (source,), name=name)
            else:
                name, order = fresh_name(made, f"{node.name}_permute"), list(step)
                source = made.graph.create_node("call_function", torch.permute, (source, order), name=name)
                sizes = tuple(sizes[axis] for axis in step)
        source.meta = node.meta | {"sizes": sizes}
    node.replace_all_uses_with(source)
    made.graph.erase_node(node)


def _join_cuts(made: fx.GraphModule, node: fx.Node) -> None:
    """Cuts of the same maps that are only put together again are one cut, or nothing."""
    if not _is(node, torch.cat):
        return
    parts, dim = list(_args(node)[0]), _args(node)[1]
    joined: list[fx.Node] = []
    for part in parts:
        before = joined[-1] if joined else None
        if before is None or not _follows(before, part, dim):
            joined.append(part)
            continue
        source, _, start, _ = _args(before)
        with made.graph.inserting_before(node):
            name = fresh_name(made, part.name)
            both = made.graph.create_node(
                "call_function", cut, (source, dim, start, _args(part)[3]), name=name
            )
        both.meta = dict(part.meta)
        joined[-1] = both
    if len(joined) > 1:
        node.args = (joined, dim)
        return
    _, _, start, stop, *_ = _args(joined[0]) if _is(joined[0], cut) else (None, None, 1, None)
    whole = _args(joined[0])[0] if (start, stop) == (0, None) else joined[0]
    node.replace_all_uses_with(whole)


def _follows(before: fx.Node, part: fx.Node, dim: object) -> bool:
    """Whether one cut begins where the other ends."""
    if not (_is(before, cut) and _is(part, cut)) or len(before.args) != 4 or len(part.args) != 4:
        return False
    (source, axis, _, end), (other, same_axis, start, _) = _args(before), _args(part)
    return source is other and axis == same_axis == dim and end is not None and bool(end == start)


def _pad_inside(made: fx.GraphModule, node: fx.Node) -> None:
    """Zeros put around maps on both sides alike become the padding of the convolution that reads them."""
    conv = layer(made, node)
    if not isinstance(conv, nn.Conv2d) or conv.padding_mode != "zeros" or isinstance(conv.padding, str):
        return
    before = node.all_input_nodes[0]
    if not _is(before, nn.functional.pad):
        return
    source, pads, *kind = _args(before)
    left, right, top, bottom = (*pads, 0, 0)[:4]
    shared = sum(user.op == "call_module" and user.target == node.target for user in made.graph.nodes) > 1
    even = (left, top) == (right, bottom) and min(left, top) >= 0 and len(pads) <= 4
    if kind != ["constant", 0.0] or not even or shared:
        return
    height, width = sides(conv.padding)
    padded = (height + top, width + left)
    inside = make_conv(conv.weight, conv.bias, conv.stride, padded, conv.groups)
    inside.dilation = conv.dilation
    inside.weight, inside.bias = conv.weight, conv.bias
    made.set_submodule(str(node.target), inside.eval())
    node.replace_input_with(before, source)


def _response_norm(made: fx.GraphModule, node: fx.Node) -> None:
    """``x / (k + alpha * mean of squares over neighbouring channels) ** beta``: local response norm."""
    if not _is(node, torch.div):
        return
    source, power = _args(node)
    if not _is(power, torch.pow) or not isinstance(source, fx.Node):
        return
    shifted, beta = power.args
    if not (_is(shifted, torch.add) and _is(shifted.args[0], torch.mul)):
        return
    scaled, k = shifted.args
    means, alpha = scaled.args
    size = _window(means, source)
    if size is not None and all(isinstance(number, (int, float)) for number in (alpha, beta, k)):
        becomes(made, node, source, [FastLocalResponseNorm(size, alpha, beta, k)])


def _window(means: Any, source: fx.Node) -> int | None:
    """Over how many channels `means` averages the squares of `source`; None where it is something else."""
    pools = (nn.functional.avg_pool3d, nn.functional.pad, torch.flatten, torch.unflatten)
    size: int | None = None
    while isinstance(means, fx.Node) and means.op == "call_function" and means.target in pools:
        if means.target is nn.functional.avg_pool3d:
            channels, *others = _args(means)[1]
            size = channels if others == [1, 1] else None
        means = means.args[0]
    return size if _is(means, torch.mul) and means.args == (source, source) else None
