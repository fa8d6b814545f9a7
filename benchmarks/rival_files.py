"""ONNX files without weights: a few kilobytes each, enough to time a network again anywhere."""

import gzip
import math
import sys
from pathlib import Path

import numpy as np
import onnx
from onnx import ModelProto, TensorProto, numpy_helper

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from training.files import replacing  # noqa: E402

SUFFIX = ".onnx.gz"
_KEPT = 16  # values: shapes, scales of single tensors
_BIAS = 0.01
_SCALED = ("QuantizeLinear", "DequantizeLinear")
_INT8 = {int(TensorProto.INT8): np.int8, int(TensorProto.UINT8): np.uint8}


def strip(file: Path, out: Path) -> None:
    """Write a file without its weights."""
    model = onnx.load(file)
    # Whole numbers are multiplied as such only where the scales fit together.
    scales = {node.input[1] for node in model.graph.node if node.op_type in _SCALED}
    for tensor in model.graph.initializer:
        weights = math.prod(tensor.dims) > _KEPT and tensor.data_type in (TensorProto.FLOAT, *_INT8)
        if weights and tensor.name not in scales:
            tensor.ClearField("raw_data")
            tensor.ClearField("float_data")
    with replacing(out) as temporary:
        temporary.write_bytes(gzip.compress(model.SerializeToString(), mtime=0))


def fill(stripped: Path, out: Path) -> None:
    """Write a file that takes as long as the one that was stripped: its weights are drawn anew.

    Their size keeps values from layer to layer as they are in networks that begin to learn (He et al. 2015).
    """
    model = ModelProto.FromString(gzip.decompress(stripped.read_bytes()))
    generator = np.random.default_rng(0)
    for tensor in model.graph.initializer:
        if not (tensor.raw_data or tensor.float_data or tensor.int64_data or tensor.int32_data):
            tensor.CopyFrom(_drawn(tensor, generator))
    onnx.save(model, out)


def _drawn(tensor: TensorProto, generator: np.random.Generator) -> TensorProto:
    shape = tuple(tensor.dims)
    if tensor.data_type in _INT8:
        values = generator.integers(0, 100, shape).astype(_INT8[tensor.data_type])
    elif len(shape) == 1:
        values = np.full(shape, _BIAS, np.float32)
    else:
        scale = math.sqrt(2 / math.prod(shape[1:]))
        values = (scale * generator.standard_normal(shape)).astype(np.float32)
    return numpy_helper.from_array(values, tensor.name)
