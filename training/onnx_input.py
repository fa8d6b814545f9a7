"""Networks that come as ONNX files, read by onnx2torch."""

from pathlib import Path

import onnx
import onnx2torch
from google.protobuf.message import DecodeError
from torch import nn

from training.errors import BadInputError


def read(name: str) -> tuple[nn.Module, int]:
    """The network in a file and the side of its input image.

    Raises
    ------
    BadInputError
        The file is no ONNX model, has no square image input, or holds an operation that cannot be read.
    """
    try:
        model = onnx.load(name)
    except (OSError, DecodeError) as error:
        raise BadInputError(
            f"{name} is no ONNX model ({str(error).splitlines()[0][:160]}); expected a .onnx file"
        ) from error
    size = _input_size(name, model)
    for node in model.graph.node:
        _without_allowzero(node)
    try:
        return onnx2torch.convert(model), size
    except (NotImplementedError, RuntimeError, ValueError) as error:
        raise BadInputError(
            f"{Path(name).name} cannot be read: {str(error).splitlines()[0][:160]}; plain CNNs are supported"
        ) from error


def _input_size(name: str, model: onnx.ModelProto) -> int:
    weights = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in weights]
    shapes = [[d.dim_value for d in value.type.tensor_type.shape.dim] for value in inputs]
    image = len(shapes) == 1 and len(shapes[0]) == 4 and shapes[0][1] == 3
    if not image or shapes[0][2] != shapes[0][3] or not shapes[0][2]:
        found = ", ".join("x".join(str(side or "?") for side in shape) for shape in shapes)
        raise BadInputError(
            f"{name} has the inputs {found}; expected one square image of 3 channels, as 1x3x224x224"
        )
    return int(shapes[0][2])


def _without_allowzero(node: onnx.NodeProto) -> None:
    """PyTorch's exporter sets it everywhere; it matters for tensors without elements only."""
    if node.op_type == "Reshape":
        for attribute in [a for a in node.attribute if a.name == "allowzero"]:
            node.attribute.remove(attribute)
