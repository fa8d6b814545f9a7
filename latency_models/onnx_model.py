"""One-kernel ONNX models: the kernel between neighbours, so that it meets memory as it does in a network.

Before it stands a cheap operation that writes its inputs, after it one that reads its output: inputs are
fresh in the cache and outputs come from the runtime's own memory, as between real layers. Weights are
made when the model is loaded, so that the file stays small. Operations of the same kind that are not the
kernel have names that begin with an underscore. Beside it stands an operation on one number: what that seems
to take is what looking costs (see ``onnx_timed.py``). It is the first in the file, which runs last: the first
to run would also wait for code to be loaded.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError
from onnx import ModelProto, NodeProto, TensorProto, helper, load_model_from_string, numpy_helper

from latency_models.kernel import Kernel, Shape

OPS = {
    "conv": ["Conv", "FusedConv"],
    "linear": ["Gemm", "FusedGemm"],
    "batchnorm": ["BatchNormalization"],
    "mean": ["ReduceMean"],
    "maxpool": ["MaxPool"],
    "avgpool": ["AveragePool", "GlobalAveragePool"],
    "lrn": ["LRN"],
    "relu": ["Relu"],
    "relu6": ["Clip"],
    "leakyrelu": ["LeakyRelu"],
    "sigmoid": ["Sigmoid"],
    "tanh": ["Tanh"],
    "hardsigmoid": ["HardSigmoid"],
    "hardswish": ["HardSwish", "HardSigmoid", "Mul"],
    "silu": ["QuickGelu", "Sigmoid", "Mul"],
    "gelu": ["Gelu", "Div", "Erf", "Add", "Mul"],
    "add": ["Add"],
    "mul": ["Mul"],
    "gate": ["Mul"],
    "concat": ["Concat"],
    "split": ["Split"],
    "reorder_in": ["ReorderInput"],
    "reorder_out": ["ReorderOutput"],
}
EMPTY, _ONE = "_empty", [1, 1]
_OPSET = 18
_IR_VERSION = 8
_WEIGHT = 0.01
_FEW_CHANNELS = 4  # a convolution of so few reads plain maps and makes blocks


class OneKernel:
    """A model under construction: inputs, nodes and constants."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self.inputs: dict[str, Shape] = {}
        self.nodes: list[NodeProto] = []
        self.constants: list[TensorProto] = []

    def fresh(self, name: str, shape: Shape) -> str:
        """An input that has just been written."""
        self.inputs[f"{name}_in"] = shape
        return self.node("Neg", [f"{name}_in"], name)

    def weight(self, name: str, *shape: int) -> str:
        """A constant whose values are made when the model is loaded."""
        sizes = numpy_helper.from_array(np.array(shape, dtype=np.int64), f"{name}_shape")
        self.constants.append(sizes)
        value = helper.make_tensor("value", TensorProto.FLOAT, [1], [_WEIGHT])
        return self.node("ConstantOfShape", [sizes.name], name, value=value)

    def number(self, name: str, value: float) -> str:
        self.constants.append(numpy_helper.from_array(np.array(value, dtype=np.float32), name))
        return name

    def node(self, op: str, inputs: list[str], output: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(op, inputs, [output], **attributes))
        return output

    def reduced(self, op: str, source: str, output: str) -> str:
        """One number a map."""
        self.constants.append(numpy_helper.from_array(np.array([2, 3]), "axes"))
        return self.node(op, [source, "axes"], output, keepdims=1)

    def convolution(self, source: str, maps: int, channels: int, output: str, **attributes: Any) -> str:
        window = attributes.get("kernel_shape", (1, 1))
        weights = [self.weight(f"{output}_w", maps, channels, *window), self.weight(f"{output}_b", maps)]
        return self.node("Conv", [source, *weights], output, **attributes)

    def model(self, output: str) -> ModelProto:
        flat = self.kernel.op == "linear"
        float_info = helper.make_tensor_value_info
        sizes = {name: [1, shape[0]] if flat else [1, *shape] for name, shape in self.inputs.items()}
        graph = helper.make_graph(
            [_empty([n for n in self.nodes if n.op_type in OPS[self.kernel.op]]), *self.nodes],
            self.kernel.op,
            [float_info(name, TensorProto.FLOAT, size) for name, size in (sizes | {"one": _ONE}).items()],
            [float_info(name, TensorProto.FLOAT, None) for name in (output, "empty")],
            self.constants,
        )
        opsets = [helper.make_opsetid("", _OPSET)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=_IR_VERSION)


def _empty(like: Sequence[NodeProto]) -> NodeProto:
    """A node that does next to nothing, and takes as long to look at: several inputs take longer than one."""
    several = any(len(node.input) > 1 for node in like)
    op, inputs = ("Add", ["one", "one"]) if several else ("Sigmoid", ["one"])
    return helper.make_node(op, inputs, ["empty"], EMPTY)


def one_kernel_model(kernel: Kernel) -> ModelProto:
    """The ONNX model that executes one kernel on one image; `OPS` names the kernel's own nodes.

    Raises
    ------
    NotImplementedError
        The operation is unknown; the message names it.
    """
    made = OneKernel(kernel)
    end = _kernel(made, kernel)
    for activation in kernel.activation.split():
        if activation == "add":
            few = made.fresh("z", (_FEW_CHANNELS, *kernel.out_shape[1:]))
            other = made.convolution(few, kernel.out_shape[0], _FEW_CHANNELS, "_blocked")
            end = made.node("Add", [end, other], "sum")
        else:
            end = _activation(made, activation, end, "active")
    if kernel.op == "linear":
        return made.model(end)
    if kernel.op in ("avgpool", "reorder_out"):  # their reader is no pooling and wants plain maps
        return made.model(made.reduced("ReduceMax", end, "out"))
    return made.model(made.node("GlobalAveragePool", [end], "out"))


def _kernel(made: OneKernel, kernel: Kernel) -> str:
    channels, maps = kernel.in_shape[0], kernel.out_shape[0]
    pads = [*kernel.padding, *kernel.end_padding]
    geometry: dict[str, Any] = {"kernel_shape": kernel.window, "strides": kernel.stride, "pads": pads}
    match kernel.op:
        case "conv":
            geometry |= {"dilations": kernel.dilation, "group": kernel.groups}
            source = made.fresh("x", kernel.in_shape)
            return made.convolution(source, maps, channels // kernel.groups, "y", **geometry)
        case "linear":
            names = [made.fresh("x", kernel.in_shape), made.weight("w", maps, channels)]
            return made.node("Gemm", [*names, made.weight("b", maps)], "y", transB=1)
        case "batchnorm":
            numbers = [made.weight(name, channels) for name in ("scale", "shift", "mean", "variance")]
            return made.node("BatchNormalization", [made.fresh("x", kernel.in_shape), *numbers], "y")
        case "mean":
            return made.reduced("ReduceMean", made.fresh("x", kernel.in_shape), "y")
        case "maxpool":
            return made.node("MaxPool", [made.fresh("x", kernel.in_shape)], "y", **geometry)
        case "avgpool" if kernel.window == kernel.in_shape[1:]:
            return made.node("GlobalAveragePool", [made.fresh("x", kernel.in_shape)], "y")
        case "avgpool":
            source = made.fresh("x", kernel.in_shape)
            return made.node("AveragePool", [source], "y", count_include_pad=1, **geometry)
        case "lrn":
            return made.node("LRN", [made.fresh("x", kernel.in_shape)], "y", size=kernel.window[0])
        case "add" | "mul":
            both = [made.fresh(name, kernel.in_shape) for name in "xz"]
            return made.node(kernel.op.capitalize(), both, "y")
        case "gate":
            gate = made.fresh("z", (kernel.in_shape[0], 1, 1))
            return made.node("Mul", [made.fresh("x", kernel.in_shape), gate], "y")
        case "concat":
            sides = kernel.out_shape[1:]
            parts = [made.fresh(f"x{i}", (c, *sides)) for i, c in enumerate(kernel.parts)]
            return made.node("Concat", parts, "y", axis=1)
        case "split":
            made.constants.append(numpy_helper.from_array(np.array(kernel.parts), "parts"))
            pieces = [f"y{number}" for number in range(len(kernel.parts))]
            source = made.fresh("x", kernel.in_shape)
            made.nodes.append(helper.make_node("Split", [source, "parts"], pieces, axis=1))
            return made.node("Concat", pieces, "y", axis=1)
        case "reorder_in":
            return made.convolution(made.fresh("x", kernel.in_shape), channels, 1, "y", group=channels)
        case "reorder_out":
            source = made.fresh("x", (_FEW_CHANNELS, *kernel.in_shape[1:]))
            return made.convolution(source, channels, _FEW_CHANNELS, "y")
    return _activation(made, kernel.op, made.fresh("x", kernel.in_shape), "y")


_ATTRIBUTES = {"leakyrelu": {"alpha": 0.01}, "hardsigmoid": {"alpha": 1 / 6, "beta": 0.5}}


def _activation(made: OneKernel, name: str, source: str, output: str) -> str:
    """An activation as PyTorch's exporter writes it."""
    match name:
        case "relu6":
            return made.node("Clip", [source, made.number("low", 0.0), made.number("high", 6.0)], output)
        case "silu":
            return made.node("Mul", [source, made.node("Sigmoid", [source], "gate")], output)
        case "gelu":
            scaled = made.node("Div", [source, made.number("root", 2**0.5)], "scaled")
            risen = made.node("Add", [made.node("Erf", [scaled], "erf"), made.number("unit", 1.0)], "risen")
            halved = made.node("Mul", [made.number("half", 0.5), risen], "halved")
            return made.node("Mul", [source, halved], output)
        case "relu" | "leakyrelu" | "sigmoid" | "tanh" | "hardsigmoid" | "hardswish":
            return made.node(OPS[name][0], [source], output, **_ATTRIBUTES.get(name, {}))
    raise NotImplementedError(f"operation {name!r} has no one-kernel ONNX model")


def alone(content: bytes) -> ModelProto:
    """An operation's own model, its inputs freshly written, with the operation on one number beside it."""
    model = load_model_from_string(content)
    graph = model.graph
    for number, node in enumerate(graph.node):
        node.name = f"kernel_{number}"
    for number, value in enumerate(graph.input):
        inside = f"{value.name}_fresh"
        for node in graph.node:
            node.input[:] = [inside if name == value.name else name for name in node.input]
        graph.node.insert(number, helper.make_node("Neg", [value.name], [inside], f"_fresh_{number}"))
    graph.node.insert(0, _empty([node for node in graph.node if not node.name.startswith("_")]))
    graph.input.append(helper.make_tensor_value_info("one", TensorProto.FLOAT, _ONE))
    graph.output.append(helper.make_tensor_value_info("empty", TensorProto.FLOAT, None))
    return model


def inputs_of(content: bytes) -> dict[str, list[int | None]]:
    """The sides of a model's inputs by name, None where the file leaves one free.

    Raises
    ------
    ValueError
        It is no ONNX file.
    """
    try:
        graph = load_model_from_string(content).graph
    except DecodeError as error:
        raise ValueError("it is no ONNX file") from error
    weights = {weight.name for weight in graph.initializer}
    return {
        value.name: [dim.dim_value if dim.dim_value > 0 else None for dim in value.type.tensor_type.shape.dim]
        for value in graph.input
        if value.name not in weights
    }
