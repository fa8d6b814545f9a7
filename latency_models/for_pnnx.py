"""Writes ONNX graphs with the operators that ncnn's converter takes rightly.

It takes a Gather of several places for one of the first alone, and leaves slices with steps as they are,
which ncnn then cannot read. Both become slices without steps, one behind the other; steps along height or
width become the maximum of single values (``x[..., ::2, ::2]``, with which YOLO's networks begin).
"""

from itertools import pairwise

import numpy as np
import onnx
from onnx import GraphProto, NodeProto, helper, numpy_helper

_END = np.iinfo(np.int64).max
_MAPS = 4  # dimensions of a batch of maps


def rewritten(content: bytes) -> bytes:
    """The same network without the operators that are taken wrongly."""
    model = onnx.load_model_from_string(content)
    if not any(node.op_type in _REWRITE for node in model.graph.node):
        return content
    graph = _Graph(onnx.shape_inference.infer_shapes(model).graph)
    nodes = [made for node in model.graph.node for made in _REWRITE.get(node.op_type, _as_it_is)(graph, node)]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    model.graph.initializer.extend(graph.added)
    return model.SerializeToString()


class _Graph:
    """What is known of a graph's values, and the constants that are added to it."""

    def __init__(self, graph: GraphProto) -> None:
        self.shapes = {
            value.name: [dimension.dim_value for dimension in value.type.tensor_type.shape.dim]
            for value in (*graph.input, *graph.value_info, *graph.output)
        }  # 0: not known
        self.constants = {constant.name: numpy_helper.to_array(constant) for constant in graph.initializer}
        self.constants |= {
            node.output[0]: numpy_helper.to_array(node.attribute[0].t)
            for node in graph.node
            if node.op_type == "Constant" and node.attribute[0].name == "value"
        }
        self.added: list[onnx.TensorProto] = []

    def constant(self, name: str, value: int) -> str:
        self.added.append(numpy_helper.from_array(np.array([value]), name))
        return name

    def sliced(self, source: str, out: str, axis: int, start: int, stop: int) -> NodeProto:
        numbers = zip(("starts", "ends", "axes"), (start, stop, axis), strict=True)
        bounds = [self.constant(f"{out}/{what}", number) for what, number in numbers]
        return helper.make_node("Slice", [source, *bounds], [out])


def _as_it_is(graph: _Graph, node: NodeProto) -> list[NodeProto]:
    return [node]


def _gather(graph: _Graph, node: NodeProto) -> list[NodeProto]:
    places = graph.constants.get(node.input[1])
    if places is None or places.ndim != 1:
        return [node]
    axis = next((attribute.i for attribute in node.attribute if attribute.name == "axis"), 0)
    return _in_runs(graph, node, axis, places.tolist())


def _slice(graph: _Graph, node: NodeProto) -> list[NodeProto]:
    """A slice along one axis with a step above one; others are taken rightly."""
    given = [graph.constants.get(name) for name in node.input[1:]]
    if len(given) < 4 or any(numbers is None or len(numbers) != 1 for numbers in given):
        return [node]
    start, stop, axis, step = (int(numbers[0]) for numbers in given if numbers is not None)
    shape = graph.shapes.get(node.input[0], [])
    if step <= 1 or not shape:
        return [node]
    axis %= len(shape)
    if len(shape) == _MAPS and axis >= 2:
        whole = f"{node.output[0]}/whole"
        strides = [step if side == axis else 1 for side in (2, 3)]
        pool = helper.make_node("MaxPool", [whole], [*node.output], kernel_shape=[1, 1], strides=strides)
        return [graph.sliced(node.input[0], whole, axis, start, stop), pool]
    return _in_runs(graph, node, axis, list(range(shape[axis]))[start:stop:step]) if shape[axis] else [node]


def _in_runs(graph: _Graph, node: NodeProto, axis: int, places: list[int]) -> list[NodeProto]:
    """Places along an axis as slices of those that follow each other."""
    breaks = [n for n, (one, other) in enumerate(pairwise(places), 1) if other != one + 1 or other == 0]
    runs = [places[begin:end] for begin, end in pairwise([0, *breaks, len(places)])]
    parts = [f"{node.output[0]}/part-{number}" for number in range(len(runs))]
    nodes = [
        graph.sliced(node.input[0], part, axis, run[0], run[-1] + 1 or _END)
        for part, run in zip(parts, runs, strict=True)
    ]
    return [*nodes, helper.make_node("Concat", parts, [*node.output], axis=axis)]


_REWRITE = {"Gather": _gather, "Slice": _slice}
