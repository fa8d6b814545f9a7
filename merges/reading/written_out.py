"""Activations and layer norms that were written out as arithmetic, known by what they compute.

A part of the graph that depends on one tensor alone is run on numbers; where it answers as a known layer
does, it is that layer. So it does not matter how it was written, nor by which exporter.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, fx, nn

from merges.graph import TO_FIRST, TO_LAST, layer
from merges.reading.simplify import becomes

# Close to zero, where activations bend, and far from it, where others do.
_POINTS = torch.cat([torch.linspace(-8, 8, 257), torch.tensor([-500.0, -50, -20, 20, 50, 500])]).double()
_LARGEST = 16  # nodes of a part
_OF_EACH = {
    *(torch.mul, torch.add, torch.sub, torch.div, torch.pow, torch.square, torch.sqrt, torch.rsqrt),
    *(torch.reciprocal, torch.exp, torch.log, torch.log1p, torch.erf, torch.abs, torch.maximum),
    *(torch.minimum, torch.where, torch.gt, torch.ge, torch.lt, torch.le),
}
_LAYERS = (
    *(nn.ReLU, nn.ReLU6, nn.Hardtanh, nn.LeakyReLU, nn.ELU),
    *(nn.Sigmoid, nn.Hardsigmoid, nn.Tanh, nn.Softplus),
)
_OVER_ONE = {torch.mean, torch.var}
_FEW = (3, 5)  # places of the maps that a norm is tried on


def written_out(made: fx.GraphModule) -> None:
    """Put one layer in the place of each part that computes what it does; the largest parts first."""
    for node in reversed(list(made.graph.nodes)):
        if node.op != "call_function" or node.target not in _OF_EACH or not node.users:
            continue
        for source, part in _parts(made, node):
            if _activation(made, node, source, part) or _layer_norm(made, node, source, part):
                made.graph.eliminate_dead_code()
                break


def _parts(made: fx.GraphModule, end: fx.Node) -> Iterator[tuple[fx.Node, list[fx.Node]]]:
    """Ever larger parts that end with a node and read one other: that one, and the part in its order."""
    order = {node: place for place, node in enumerate(made.graph.nodes)}
    inside, read = [end], set(end.all_input_nodes)
    while len(inside) <= _LARGEST and (sources := [node for node in read if node.op != "get_attr"]):
        if len(sources) == 1:
            yield sources[0], sorted(inside, key=order.__getitem__)
        latest = max(sources, key=order.__getitem__)
        if latest.target not in _OF_EACH | _OVER_ONE and not isinstance(layer(made, latest), _LAYERS):
            return
        inside.append(latest)
        read = read - {latest} | set(latest.all_input_nodes)


def _run(made: fx.GraphModule, source: fx.Node, part: list[fx.Node], numbers: Tensor) -> Tensor | None:
    """What a part makes of numbers in double precision; None where it cannot take them."""
    known: dict[fx.Node, Any] = {source: numbers}

    def value(node: fx.Node) -> Any:
        return known[node] if node in known else getattr(made, str(node.target)).detach().double()

    try:
        for node in part:
            function = layer(made, node) or node.target
            arguments = fx.node.map_arg((node.args, node.kwargs), value)
            known[node] = function(*arguments[0], **arguments[1])  # type: ignore[operator]
    except (RuntimeError, TypeError, IndexError):
        return None
    found = known[part[-1]]
    return found if found.shape == numbers.shape and found.is_floating_point() else None


def _activation(made: fx.GraphModule, node: fx.Node, source: fx.Node, part: list[fx.Node]) -> bool:
    constants = (read.op == "get_attr" for own in part for read in own.all_input_nodes)
    if any(constants) or any(own.target in _OVER_ONE for own in part):
        return False
    found = _run(made, source, part, _POINTS)
    below = float("nan") if found is None else float(found[_POINTS == -1])
    for known in _activations(below):
        if found is not None and _close(found, known(_POINTS)):
            becomes(made, node, source, [known])
            return True
    return False


def _activations(below: float) -> Iterator[nn.Module]:
    """Those that may answer so to -1."""
    yield from (nn.ReLU(), nn.ReLU6(), nn.Sigmoid(), nn.Hardsigmoid(), nn.Tanh(), nn.Softplus())
    yield from (nn.SiLU(), nn.Hardswish(), nn.GELU(), nn.GELU("tanh"), nn.Mish())
    if -1 < below < 0:
        yield from (nn.LeakyReLU(-below), nn.ELU(below / (torch.tensor(-1.0).exp().item() - 1)))


def _layer_norm(made: fx.GraphModule, node: fx.Node, source: fx.Node, part: list[fx.Node]) -> bool:
    """``(x - mean) / sqrt(variance + eps) * weight + bias`` over channels, wherever they stand."""
    sizes, axis = source.meta["sizes"], _axis(part)
    small = [own.args[1] for own in part if own.target is torch.add and isinstance(own.args[1], float)]
    first = axis == 1 and len(sizes) == 4
    if not small or axis is None or isinstance(sizes[axis], str) or not (first or axis == len(sizes) - 1):
        return False
    shape = (4, *_FEW[: len(sizes) - 2], sizes[axis])
    rows = torch.randn(shape, generator=torch.Generator().manual_seed(0)).double()
    rows = torch.cat([rows, rows * 1e-3])  # of the second, eps decides
    found = _run(made, source, part, rows.movedim(-1, axis))
    if found is None:
        return False
    normed = nn.functional.layer_norm(rows, rows.shape[-1:], eps=small[0]).flatten(0, -2)
    wanted, spread = found.movedim(axis, -1).flatten(0, -2), normed - normed.mean(0)
    weight = (spread * wanted).mean(0) / spread.square().mean(0)
    bias = wanted.mean(0) - weight * normed.mean(0)
    if not _close(wanted, normed * weight + bias):
        return False
    norm = nn.LayerNorm(rows.shape[-1], small[0])
    kind = next((own.dtype for own in made.parameters()), torch.float32)
    norm.weight, norm.bias = nn.Parameter(weight.to(kind)), nn.Parameter(bias.to(kind))
    becomes(made, node, source, [TO_LAST, norm, TO_FIRST] if first else [norm])
    return True


def _axis(part: list[fx.Node]) -> int | None:
    """The one dimension that all means and variances of a part go over; None where there is no such one."""
    over: set[Any] = {own.args[1] for own in part if own.target in _OVER_ONE}
    dims: tuple[int, ...] = over.pop() if len(over) == 1 else ()
    return dims[0] if len(dims) == 1 else None


def _close(found: Tensor, wanted: Tensor) -> bool:
    """Nearer than GELU and its approximation are, ten times."""
    return torch.allclose(found, wanted, rtol=5e-5, atol=5e-5)
