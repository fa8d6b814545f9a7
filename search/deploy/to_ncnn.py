"""Converts ONNX files for ncnn, and checks the answers there."""

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from torch import Tensor, nn

from latency_models.ncnn_model import ends_of
from latency_models.pnnx import ConversionError, converted
from merges.reading.check import answers_of
from search.deploy import ncnn_answers
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
        ncnn cannot read the files, crashes on them, or answers with another number of values.
    """
    wanted = [part.numpy() for part in answers_of(model, images.float())]
    answers = _answers(param, images.float().numpy())
    if len(answers) != len(wanted) or any(a.size != w.size for a, w in zip(answers, wanted, strict=True)):
        raise ExportError(f"ncnn answers with other shapes than the network: {param} cannot be used")
    _, outputs = ends_of(param.read_text())
    return agreement_of([a.reshape(w.shape) for a, w in zip(answers, wanted, strict=True)], wanted, outputs)


def _answers(param: Path, images: np.ndarray) -> list[np.ndarray]:
    """What ncnn answers, output by output."""
    inputs, outputs = ends_of(param.read_text())
    with tempfile.TemporaryDirectory(prefix="ncnn-") as folder:
        given, made = Path(folder, "images.npy"), Path(folder, "answers.npz")
        np.save(given, images)
        command = [sys.executable, ncnn_answers.__file__, str(param), inputs[0], str(given), str(made)]
        done = subprocess.run([*command, *outputs], capture_output=True, text=True, check=False)
        if done.returncode == ncnn_answers.UNREADABLE:
            raise ExportError(f"ncnn cannot read what was written to {param}: {done.stderr.strip()}")
        if done.returncode:
            raise ExportError(f"ncnn crashed on what was written to {param} (exit code {done.returncode})")
        with np.load(made) as answers:
            return [answers[name] for name in answers.files]
