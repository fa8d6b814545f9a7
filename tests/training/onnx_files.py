"""Small ONNX files for tests, and what onnxruntime answers."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from training import onnx_input

Arrays = dict[str, np.ndarray]


def model(
    nodes: Sequence[onnx.NodeProto],
    weights: Arrays,
    opset: int = 17,
    shape: Sequence[int | str | None] = ("n", 3, 24, 24),
    outputs: Sequence[str] = ("y",),
) -> onnx.ModelProto:
    """A file with the image input x."""
    made = helper.make_model(
        helper.make_graph(
            list(nodes),
            "g",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
            [onnx.ValueInfoProto(name=name) for name in outputs],
            [numpy_helper.from_array(np.asarray(array), name) for name, array in weights.items()],
        ),
        opset_imports=[helper.make_opsetid("", opset)],
    )
    made.ir_version = 8
    for output in made.graph.output:
        output.type.tensor_type.elem_type = TensorProto.FLOAT
    return made


def saved(made: onnx.ModelProto, folder: Path) -> str:
    """The path of a file that holds a model."""
    path = str(folder / "m.onnx")
    onnx.save(made, path)
    return path


def session(path: str | Path) -> onnxruntime.InferenceSession:
    """The file as onnxruntime runs it, in one thread and quietly."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 4
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def worst_error(
    network: Callable[[torch.Tensor], Any],
    path: str | Path,
    shape: Sequence[int] = (),
    at_once: bool = True,
    images: torch.Tensor | None = None,
) -> float:
    """The largest difference of any output from onnxruntime's, of its scale, on noise or given images.

    Parameters
    ----------
    at_once : whether onnxruntime may take all images at once, else one by one
    """
    if images is None:
        images = torch.randn(*shape, generator=torch.Generator().manual_seed(1))
    reference = session(path)
    name = reference.get_inputs()[0].name
    parts = [images] if at_once else images.split(1)
    wanted = [
        np.concatenate(o) for o in zip(*(reference.run(None, {name: p.numpy()}) for p in parts), strict=True)
    ]
    with torch.no_grad():
        answers = network(images)
    found = answers if isinstance(answers, tuple) else (answers,)
    assert [tuple(f.shape) for f in found] == [w.shape for w in wanted]
    return max(
        float(np.abs(f.numpy() - w).max() / max(np.abs(w).max(), 1e-3))
        for f, w in zip(found, wanted, strict=True)
    )


def read(made: onnx.ModelProto, folder: Path, size: int | tuple[int, int] | None = None) -> nn.Module:
    """A model as the program reads it from a file."""
    return onnx_input.read(saved(made, folder), size)[0]
