"""Models to count ONNX Runtime's kernels by: one that has the kernel once, and one that has it twice."""

from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from latency_models.kernel import Kernel
from latency_models.onnx_model import one_kernel_model

_OTHER = "_other"
_READERS = ("out", "empty")
_BETWEEN = ("split", "reorder_in", "reorder_out")  # a model of these alone is not only these


def once_and_twice(kernel: Kernel) -> tuple[bytes, bytes]:
    """Models of a kernel once and twice, both with inputs for two.

    Raises
    ------
    NotImplementedError
        The operation is unknown, or cannot stand at a model's end; the message names it.
    """
    if kernel.op in _BETWEEN:
        raise NotImplementedError(f"operation {kernel.op!r} is not counted alone")
    one = one_kernel_model(kernel)
    constants = {tensor.name for tensor in one.graph.initializer}
    nodes = [node for node in one.graph.node if node.output[0] not in _READERS]
    others = [_renamed(node, constants) for node in nodes]
    again = [node for node in others if node.op_type == "Neg"]
    ends = [nodes[-1].output[0], *(node.output[0] for node in again)]
    once = _model(one, [*nodes, *again], ends)
    return once, _model(one, [*nodes, *others], [*ends, others[-1].output[0]])


def _renamed(node: NodeProto, constants: set[str]) -> NodeProto:
    """The same node of the other kernel, with other weights: what is equal would be computed once."""
    made = NodeProto()
    made.CopyFrom(node)
    made.input[:] = [name if name in constants else name + _OTHER for name in node.input]
    made.output[:] = [name + _OTHER for name in node.output]
    if node.op_type == "ConstantOfShape":
        value = made.attribute[0].t
        value.CopyFrom(numpy_helper.from_array(2 * numpy_helper.to_array(value), value.name))
    return made


def _model(one: ModelProto, nodes: list[NodeProto], outputs: list[str]) -> bytes:
    inputs = [value for value in one.graph.input if value.name != "one"]
    others = [type(value).FromString(value.SerializeToString()) for value in inputs]
    for value in others:
        value.name += _OTHER
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs]
    graph = helper.make_graph(nodes, "counted", [*inputs, *others], ends, list(one.graph.initializer))
    model = helper.make_model(graph, opset_imports=one.opset_import, ir_version=one.ir_version)
    return bytes(model.SerializeToString())
