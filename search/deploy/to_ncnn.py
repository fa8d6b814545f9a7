"""Converts ONNX files for ncnn, and checks the answers there."""

from pathlib import Path

import numpy as np
from torch import Tensor, nn

from latency_models.ncnn_model import ends_of
from latency_models.pnnx import ConversionError, converted
from merges.reading.check import answers_of
from training.errors import ExportError
from training.export_check import Agreement, agreement_of
from training.files import replacing


def to_ncnn(onnx: Path, input_shape: tuple[int, int, int], param: Path) -> None:
    """Write `param` and the ``.bin`` beside it, in single precision, with ncnn's own converter.

    Raises
    ------
    ExportError
        The converter is not installed, or cannot convert the network.
    """
    try:
        made = converted(onnx.read_bytes(), [(1, *input_shape)])
    except ConversionError as error:
        raise ExportError(str(error)) from error
    for content, where in zip(made, (param, param.with_suffix(".bin")), strict=True):
        with replacing(where) as temporary:
            temporary.write_bytes(content)


def compare(model: nn.Module, param: Path, images: Tensor) -> Agreement:
    """Compare all outputs of a network and of ncnn on preprocessed images (n, channels, height, width).

    Raises
    ------
    ExportError
        ncnn cannot read the files, or answers with another number of values.
    """
    import ncnn

    inputs, outputs = ends_of(param.read_text())
    network = ncnn.Net()
    network.opt.use_vulkan_compute = False
    for half in ("use_fp16_packed", "use_fp16_storage", "use_fp16_arithmetic", "use_bf16_storage"):
        setattr(network.opt, half, False)
    if network.load_param(str(param)) != 0 or network.load_model(str(param.with_suffix(".bin"))) != 0:
        raise ExportError(f"ncnn cannot read what was written to {param}")
    wanted = [part.numpy() for part in answers_of(model, images.float())]
    found: list[list[np.ndarray]] = [[] for _ in outputs]
    for image in images:
        extractor = network.create_extractor()
        extractor.input(inputs[0], ncnn.Mat(image.float().numpy()).clone())
        for name, answers in zip(outputs, found, strict=True):
            answers.append(np.array(extractor.extract(name)[1]))
    if len(found) != len(wanted) or any(a[0].size != w[0].size for a, w in zip(found, wanted, strict=True)):
        raise ExportError(f"ncnn answers with other shapes than the network: {param} cannot be used")
    answers = [np.stack(a).reshape(w.shape) for a, w in zip(found, wanted, strict=True)]
    return agreement_of(answers, wanted, outputs)
