"""ONNX Runtime on the CPU: fuses activations into convolutions, drops what is the identity.

Each kernel is timed as an ONNX model of its own, with all graph optimisations, on real memory.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnxruntime
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from latency_models.kernel import Kernel, Layer
from latency_models.runtime import Run, drop_free, fuse_activations

_OPSET = 17
_IR_VERSION = 8
_FREE = {"flatten", "identity", "dropout"}
_ACTIVATIONS = {"relu": "Relu"}


class OnnxRuntime:
    name = "onnxruntime"

    def fuse(self, layers: Sequence[Layer]) -> list[Layer]:
        return fuse_activations(drop_free(layers, _FREE), into={"conv"}, which=_ACTIVATIONS)

    def prepare(self, kernel: Kernel, threads: int) -> Run | None:
        model = one_kernel_model(kernel)
        session = session_of(model.SerializeToString(), threads)
        generator = np.random.default_rng(0)
        feeds = {
            value.name: generator.standard_normal(value.shape, dtype=np.float32)
            for value in session.get_inputs()
        }
        return lambda: session.run(None, feeds)

    def version(self) -> str:
        return onnxruntime.__version__


def session_of(model: bytes | str, threads: int) -> onnxruntime.InferenceSession:
    """A session on the CPU, sequential, with all optimisations (model bytes or a file's path)."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def one_kernel_model(kernel: Kernel) -> ModelProto:
    """The ONNX model that executes one kernel on one image.

    Raises
    ------
    NotImplementedError
        The operation is unknown; the message names it.
    """
    generator = np.random.default_rng(0)
    weights: list[TensorProto] = []

    def weight(name: str, *shape: int) -> str:
        values = generator.standard_normal(shape, dtype=np.float32) / max(kernel.taps, 1) ** 0.5
        weights.append(numpy_helper.from_array(values.astype(np.float32), name))
        return name

    inputs = [("x", kernel.in_shape)]
    pads = [*kernel.padding, *_end_padding(kernel)]
    geometry: dict[str, Any] = {"kernel_shape": kernel.window, "strides": kernel.stride, "pads": pads}
    nodes: list[NodeProto] = []
    match kernel.op:
        case "conv":
            names = [weight("w", kernel.out_shape[0], kernel.in_shape[0] // kernel.groups, *kernel.window)]
            names.append(weight("b", kernel.out_shape[0]))
            options = geometry | {"dilations": kernel.dilation, "group": kernel.groups}
            nodes.append(helper.make_node("Conv", ["x", *names], ["y"], **options))
        case "linear":
            names = [
                weight("w", kernel.out_shape[0], kernel.in_shape[0]),
                weight("b", kernel.out_shape[0]),
            ]
            nodes.append(helper.make_node("Gemm", ["x", *names], ["y"], transB=1))
        case "maxpool":
            nodes.append(helper.make_node("MaxPool", ["x"], ["y"], **geometry))
        case "avgpool" if kernel.window == kernel.in_shape[1:]:
            nodes.append(helper.make_node("GlobalAveragePool", ["x"], ["y"]))
        case "avgpool":
            nodes.append(helper.make_node("AveragePool", ["x"], ["y"], count_include_pad=1, **geometry))
        case "lrn":
            nodes.append(helper.make_node("LRN", ["x"], ["y"], size=kernel.window[0]))
        case "relu":
            nodes.append(helper.make_node("Relu", ["x"], ["y"]))
        case "add":
            inputs.append(("z", kernel.in_shape))
            nodes.append(helper.make_node("Add", ["x", "z"], ["y"]))
        case "concat":
            inputs = [(f"x{i}", (c, *kernel.out_shape[1:])) for i, c in enumerate(kernel.parts)]
            nodes.append(helper.make_node("Concat", [name for name, _ in inputs], ["y"], axis=1))
        case _:
            raise NotImplementedError(f"operation {kernel.op!r} has no one-kernel ONNX model")
    if kernel.activation:
        nodes.append(helper.make_node(_ACTIVATIONS[kernel.activation], ["y"], ["out"]))
    flat = kernel.op == "linear"
    graph = helper.make_graph(
        nodes,
        kernel.op,
        [
            helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, s[0]] if flat else [1, *s])
            for n, s in inputs
        ],
        [helper.make_tensor_value_info(nodes[-1].output[0], TensorProto.FLOAT, None)],
        weights,
    )
    opsets = [helper.make_opsetid("", _OPSET)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=_IR_VERSION)


def _end_padding(kernel: Kernel) -> list[int]:
    """Padding after the image: what the output size asks for (more where pooling rounds up)."""
    sides = zip(
        kernel.in_shape[1:],
        kernel.out_shape[1:],
        kernel.window,
        kernel.stride,
        kernel.padding,
        kernel.dilation,
        strict=True,
    )
    return [
        max(0, (o - 1) * s + (k - 1) * d + 1 - i - p) if kernel.op != "linear" else 0
        for i, o, k, s, p, d in sides
    ]


RUNTIME = OnnxRuntime()
