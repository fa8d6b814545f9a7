"""The table: ONNX operations as torch layers and functions, one file a family.

A function marked with `step.operation` reads the operations of that name in all opsets from 7 on.
"""

import importlib
import pkgutil

_CONTROL = ("Loop", "Scan", "SequenceMap")
_QUANTISED = (
    "QuantizeLinear",
    "DequantizeLinear",
    "DynamicQuantizeLinear",
    "QLinearConv",
    "QLinearMatMul",
    "ConvInteger",
    "MatMulInteger",
)


def load() -> None:
    """Fill the table from all files here."""
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")


def why_not(op: str) -> str:
    """The reason why an operation that is not in the table cannot be read."""
    if op in _QUANTISED:
        return "the network is quantised; expected one in float32, as it was before it was quantised"
    if op in _CONTROL:
        return "networks with loops are not supported"
    return "is not supported; convolutional networks of ordinary layers are"
