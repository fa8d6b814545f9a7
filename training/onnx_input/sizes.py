"""Integers that depend on free sizes, written as products of the sides of tensors."""

import itertools
import math
import operator
from collections.abc import Sequence

from torch import fx

from training.onnx_input.values import SIZE_DEPENDENT, RefusedError, Size, Value


class Sizes:
    """Finds and writes such integers, each once."""

    def __init__(self, graph: fx.Graph) -> None:
        self._graph = graph
        self._nodes: dict[tuple[Value, int], fx.Node] = {}

    def of(self, value: Value, axis: int) -> int | Size:
        """A side of a tensor."""
        samples = value.sides[axis]
        if len(set(samples)) == 1:
            return samples[0]
        if (value, axis) not in self._nodes:
            assert value.node is not None
            self._nodes[value, axis] = self._graph.call_method("size", (value.node, axis))
        return Size(samples, self._nodes[value, axis])

    def express(self, samples: tuple[int, ...], near: Sequence[Value]) -> int | Size:
        """An integer as a constant times the product of some of the sides of the first tensor that allows it.

        Raises
        ------
        RefusedError
            None allows it.
        """
        if len(set(samples)) == 1:
            return samples[0]
        for value in near:
            sides = [(axis, side) for axis, side in enumerate(value.sides) if len(set(side)) > 1]
            # The side itself before a multiple of another, fewer sides before more.
            choices = [c for n in range(1, len(sides) + 1) for c in itertools.combinations(sides, n)]
            for whole in (True, False):
                for chosen in choices:
                    products = [math.prod(side[run] for _, side in chosen) for run in range(len(samples))]
                    ratio = _ratio(samples, products)
                    if ratio and (not whole or ratio == (1, 1)):
                        return self._write(value, [axis for axis, _ in chosen], ratio, samples)
        raise RefusedError(SIZE_DEPENDENT)

    def _write(
        self, value: Value, axes: Sequence[int], ratio: tuple[int, int], samples: tuple[int, ...]
    ) -> Size:
        factors = [self.of(value, axis) for axis in axes]
        node = None
        for factor in factors:
            assert isinstance(factor, Size)
            node = (
                factor.node if node is None else self._graph.call_function(operator.mul, (node, factor.node))
            )
        assert node is not None
        for function, number in zip((operator.mul, operator.floordiv), ratio, strict=True):
            node = node if number == 1 else self._graph.call_function(function, (node, number))
        return Size(samples, node)


def _ratio(samples: Sequence[int], products: Sequence[int]) -> tuple[int, int] | None:
    """Up and down, where all samples are the same multiple of their products."""
    if not products[0] or not samples[0]:
        return None
    common = math.gcd(samples[0], products[0])
    up, down = samples[0] // common, products[0] // common
    same = all(s * down == p * up for s, p in zip(samples, products, strict=True))
    return (up, down) if same else None
