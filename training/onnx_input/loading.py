"""Opens an ONNX file and finds its image input."""

from dataclasses import dataclass
from pathlib import Path

import onnx
import onnx.inliner
from google.protobuf.message import DecodeError, EncodeError

from training.errors import BadInputError

FREE = ("batch", "height", "width")
_OLDEST = 7  # before it, arithmetic broadcast by attributes


@dataclass(frozen=True)
class OnnxFile:
    """An ONNX file with its image input.

    Attributes
    ----------
    short : its name without its folder, for messages
    opset : version of the operations
    batch : images of one run, None where free
    free : those of batch, height and width that the file leaves free
    """

    path: str
    short: str
    model: onnx.ModelProto
    opset: int
    input: str
    channels: int
    batch: int | None
    height: int
    width: int
    free: frozenset[str]


def load(name: str, size: int | tuple[int, int] | None) -> OnnxFile:
    """Open a file.

    Parameters
    ----------
    size : side, or height and width, of the image where the file leaves them free

    Raises
    ------
    BadInputError
        It is not a complete ONNX model with a single image input of known size.
    """
    model = _inlined(name, _loaded(name))
    opset = _opset(name, model)
    weights = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in weights]
    image, sides = _image(name, inputs)
    batch, channels, *own = sides
    height, width = _sides(name, own, (size, size) if isinstance(size, int) else size)
    free = frozenset(f for f, side in zip(FREE, (batch, *own), strict=True) if side is None)
    if channels is None:
        raise BadInputError(
            f"the input {image!r} of {name} leaves its channels free; expected a fixed number, as 3; "
            "export the network with fixed channels"
        )
    return OnnxFile(name, Path(name).name, model, opset, image, channels, batch, height, width, free)


def _loaded(name: str) -> onnx.ModelProto:
    try:
        model = onnx.load(name, load_external_data=False)
        readable = bool(model.graph.node) and bool(model.opset_import)
    except (OSError, DecodeError, UnicodeDecodeError, ValueError) as error:
        raise BadInputError(
            f"{name} is no ONNX model ({str(error).splitlines()[0][:160]}); expected a .onnx file"
        ) from error
    if not readable:
        raise BadInputError(f"{name} is no ONNX model (it holds no operations); expected a .onnx file")
    try:
        onnx.load_external_data_for_model(model, str(Path(name).parent))
    except Exception as error:  # onnx raises errors of its own, of many kinds
        raise BadInputError(
            f"{name} keeps its weights in another file, which cannot be read "
            f"({str(error).splitlines()[0][:200]}); put it beside the .onnx file"
        ) from error
    return model


def _inlined(name: str, model: onnx.ModelProto) -> onnx.ModelProto:
    """The functions that a file defines, written out where they are called."""
    if not model.functions:
        return model
    try:
        return onnx.inliner.inline_local_functions(model)
    except (RuntimeError, ValueError, EncodeError) as error:
        raise BadInputError(
            f"{name} cannot be read: its functions cannot be written out "
            f"({str(error).splitlines()[0][:160]}); export it without functions"
        ) from error


def _opset(name: str, model: onnx.ModelProto) -> int:
    for node in model.graph.node:
        if node.domain not in ("", "ai.onnx"):
            raise BadInputError(
                f"{Path(name).name} cannot be read: operation {node.op_type} (node {node.name!r}) is of the "
                f"domain {node.domain!r}; expected operations of ONNX itself"
            )
    versions = [entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")]
    if not versions or versions[0] < _OLDEST:
        raise BadInputError(
            f"{Path(name).name} is written with opset {versions[0] if versions else 'none'}; expected "
            f"{_OLDEST} or newer; convert it with onnx.version_converter"
        )
    return int(versions[0])


def _image(name: str, inputs: list[onnx.ValueInfoProto]) -> tuple[str, list[int | None]]:
    """The name and the sides of the one image input, None where free."""
    found = []
    for value in inputs:
        kind = value.type.tensor_type
        sides = [d.dim_value if d.dim_value > 0 else None for d in kind.shape.dim]
        found.append((value.name, kind.elem_type, sides))
    shown = ", ".join(
        f"{n!r} ({'x'.join(str(s or '?') for s in sides) or 'no shape'})" for n, _, sides in found
    )
    if len(found) != 1 or len(found[0][2]) != 4:
        raise BadInputError(
            f"{name} has the inputs {shown or 'none'}; expected one input, an image as 1x3x224x224"
        )
    if found[0][2][3] == 3 and found[0][2][1] not in (1, 3):
        raise BadInputError(
            f"the input {shown} of {name} has its channels last, as TensorFlow's have; expected them first, "
            "as 1x3x224x224; convert it again with tf2onnx's --inputs-as-nchw"
        )
    if found[0][1] != onnx.TensorProto.FLOAT:
        kind_name = onnx.TensorProto.DataType.Name(found[0][1]).lower()
        raise BadInputError(
            f"the input {found[0][0]!r} of {name} takes numbers of the type {kind_name}; expected float "
            "(32 bits); export the network in float32"
        )
    return found[0][0], found[0][2]


def _sides(name: str, own: list[int | None], wanted: tuple[int, int] | None) -> tuple[int, int]:
    """Height and width, from the file and from what the user wants."""
    shown = "x".join(str(side or "?") for side in own)
    if wanted is None:
        if None in own:
            raise BadInputError(
                f"{name} leaves the size of its image free ({shown}); say it with `input_size` HxW, "
                "as `input_size` 224x224"
            )
        wanted = (own[0] or 0, own[1] or 0)
    if min(wanted) < 1:
        raise BadInputError(f"the image size {wanted[0]}x{wanted[1]} is none; expected a size as 224x224")
    if any(side not in (None, want) for side, want in zip(own, wanted, strict=True)):
        raise BadInputError(
            f"{name} takes images of {shown} (height x width), not of {wanted[0]}x{wanted[1]}; leave "
            "`input_size` out or give its own size"
        )
    return wanted
