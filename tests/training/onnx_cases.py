"""Small ONNX files of one operation or a few, as parameters of tests."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import NodeProto, helper

from tests.training import onnx_files

SHAPE = (4, 6, 8)  # of an image: channels, height, width
RNG = np.random.default_rng(0)
Case = Any


def f(*shape: int) -> np.ndarray:
    """Random weights."""
    return RNG.normal(size=shape).astype(np.float32)


def i(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


def s(value: float) -> np.ndarray:
    return np.float32(value)


def one(
    op: str, opset: int = 17, *, of: str = "x", shape: tuple[int, ...] = SHAPE, label: str = "", **rest: Any
) -> Case:
    """A file of one operation on the image.

    Parameters
    ----------
    of : ``abs`` for an operation on positive numbers
    rest : attributes; arrays are constant inputs, in their order, None one that is left out
    """
    constants = {k: v for k, v in rest.items() if v is None or isinstance(v, np.ndarray | np.generic)}
    attributes = {k: v for k, v in rest.items() if k not in constants}
    first = [helper.make_node("Abs", ["x"], ["p"])] if of == "abs" else []
    inputs = ["p" if first else "x", *(k if v is not None else "" for k, v in constants.items())]
    weights = {k: v for k, v in constants.items() if v is not None}
    node = helper.make_node(op, inputs, ["y"], name=f"the/{op}", **attributes)
    return pytest.param([*first, node], weights, opset, shape, id=f"{op}-{opset}{label and '-'}{label}")


def many(
    label: str, nodes: list[tuple[Any, ...]], opset: int = 17, shape: tuple[int, ...] = SHAPE, **weights: Any
) -> Case:
    """A file of several operations: (op, inputs, outputs, attributes)."""
    made = [
        helper.make_node(op, a.split(), b.split(), **(rest[0] if rest else {})) for op, a, b, *rest in nodes
    ]
    return pytest.param(made, weights, opset, shape, id=label)


def check(
    nodes: list[NodeProto], weights: onnx_files.Arrays, opset: int, shape: tuple[int, int, int], folder: Path
) -> None:
    """Read a file; it must answer as in onnxruntime, for one image and for three."""
    network = onnx_files.read(onnx_files.model(nodes, weights, opset, ("n", *shape)), folder)
    for batch in (1, 3):
        error = onnx_files.worst_error(network, folder / "m.onnx", (batch, *shape), at_once=False)
        assert error < 1e-4
