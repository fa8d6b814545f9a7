"""Static int8 by onnxruntime, as its documentation recommends for x86."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process


class _Images(CalibrationDataReader):
    """Images one by one, for the scales of activations."""

    def __init__(self, name: str, images: np.ndarray) -> None:
        self.feeds: Iterator[dict[str, np.ndarray]] = iter([{name: image[None]} for image in images])

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self.feeds, None)


def quantised(file: Path, images: np.ndarray, folder: Path) -> Path:
    """Write a file in int8 into a folder, calibrated on preprocessed images (n, channels, height, width)."""
    import onnx

    folder.mkdir(parents=True, exist_ok=True)
    ready, out = folder / "ready.onnx", folder / "int8.onnx"
    quant_pre_process(str(file), str(ready))
    name = onnx.load(ready).graph.input[0].name
    quantize_static(
        str(ready),
        str(out),
        _Images(name, images),
        quant_format=QuantFormat.QDQ,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        per_channel=True,
    )
    return out
