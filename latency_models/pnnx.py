"""ncnn's own converter from ONNX, a program that is installed as a Python package."""

import importlib.util
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from latency_models.for_pnnx import rewritten

_LONGEST_SECONDS = 600


class ConversionError(RuntimeError):
    """The converter is not installed, or cannot convert a network; the message holds its reason."""


def converted(onnx: bytes, input_shapes: Sequence[Sequence[int]]) -> tuple[bytes, bytes]:
    """The parameter and weight files of an ONNX model, in single precision.

    Raises
    ------
    ConversionError
        The converter is not installed, or cannot convert the model.
    """
    package = importlib.util.find_spec("pnnx")
    if package is None or package.origin is None:
        raise ConversionError("ncnn's converter is not installed; 'pip install pnnx' brings it")
    program = Path(package.origin).with_name("pnnx")
    sizes = ",".join(f"[{','.join(map(str, shape))}]" for shape in input_shapes)
    with tempfile.TemporaryDirectory(prefix="pnnx-") as folder:  # it writes seven files beside its input
        Path(folder, "model.onnx").write_bytes(rewritten(onnx))
        try:
            done = subprocess.run(
                [str(program), "model.onnx", f"inputshape={sizes}", "fp16=0"],
                cwd=folder,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=_LONGEST_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise ConversionError(f"ncnn's converter took more than {_LONGEST_SECONDS} s") from error
        made = [Path(folder, f"model.ncnn{suffix}") for suffix in (".param", ".bin")]
        if done.returncode != 0 or not all(path.exists() for path in made):
            last = (done.stderr.strip() or done.stdout.strip() or "no message").splitlines()[-1]
            raise ConversionError(f"ncnn's converter failed with code {done.returncode}: {last[:300]}")
        param, weights = (path.read_bytes() for path in made)
        return param, weights
