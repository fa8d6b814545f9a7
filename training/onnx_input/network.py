"""Networks in ONNX files."""

from torch import fx, nn

from training.errors import BadInputError
from training.onnx_input.agreement import Reference
from training.onnx_input.builder import Builder
from training.onnx_input.loading import OnnxFile, load

# Added to the sides of the image for a second look; most networks take multiples of 32.
_TALLER, _WIDER = 32, 64


def read(name: str, size: int | tuple[int, int] | None = None) -> tuple[nn.Module, int | tuple[int, int]]:
    """The network in a file, and the size of its input image: a side, or height and width.

    The network takes any number of images. Its `input_shape` is (channels, height, width); its `free` are
    those of ``batch``, ``height`` and ``width`` that are free in the file, and in the network too. Its
    `facts` are the file's metadata, by name.

    Parameters
    ----------
    size : of the image, where the file leaves it free

    Raises
    ------
    BadInputError
        The file is no ONNX model, has not one image input, holds an operation that cannot be read, or gives
        other answers in onnxruntime.
    """
    try:
        file = load(name, size)
        module, free = _built(file)
    except BadInputError:
        raise
    except Exception as error:  # damaged files make onnx raise anything
        raise BadInputError(
            f"{name} cannot be read: it is damaged ({' '.join(str(error).split())[:160]!r}); write it again"
        ) from error
    module.input_shape = (file.channels, file.height, file.width)  # type: ignore[assignment]
    module.free = free  # type: ignore[assignment]
    module.facts = {fact.key: fact.value for fact in file.model.metadata_props}  # type: ignore[assignment]
    square = file.height == file.width
    return module, file.height if square else (file.height, file.width)


def _built(file: OnnxFile) -> tuple[fx.GraphModule, frozenset[str]]:
    """The network for all sizes if that can be, else for the given one."""
    height, width = file.height, file.width
    other = (
        height + _TALLER * ("height" in file.free),
        width + _WIDER * ("width" in file.free),
    )
    if other != (height, width):
        try:
            module = Builder(file, [(2, height, width), (3, height, width), (2, *other)]).build()
            reference = Reference(file)
            reference.check(module, height, width)
            reference.check(module, *other)
            return module, file.free
        except BadInputError:
            pass  # the same file at one size says what is wrong, if anything is
    module = Builder(file, [(2, height, width), (3, height, width)]).build()
    Reference(file).check(module, height, width)
    return module, file.free & {"batch"}
