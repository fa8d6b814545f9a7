"""The three networks of PP-OCRv4, which many run on boards: read, listed, and exported again unmerged.

python benchmarks/text_networks.py FOLDER     # of the .onnx files, as in the wheel of rapidocr-onnxruntime
"""

import time
from collections import Counter
from pathlib import Path
from typing import cast

import click
import numpy as np
import onnxruntime
from PIL import Image, ImageDraw
from rich.console import Console
from rich.table import Table

from merges.network import analyse
from training import onnx_input
from training.export import to_onnx
from training.sizes import Shape

NETWORKS = {
    "ch_ppocr_mobile_v2.0_cls_infer.onnx": (48, 192),
    "ch_PP-OCRv4_rec_infer.onnx": (48, 320),
    "ch_PP-OCRv4_det_infer.onnx": (480, 640),
}


def text(count: int, height: int, width: int) -> np.ndarray:
    """Lines of text, (count, 3, height, width), from -1 to 1."""
    images = []
    for number in range(count):
        line = Image.new("RGB", (width // 2, height // 2), "white")
        ImageDraw.Draw(line).text((4, 6), f"Text {number} here", fill="black")
        images.append(np.asarray(line.resize((width, height)), np.float32).transpose(2, 0, 1) / 127.5 - 1)
    return np.stack(images)


def run(file: Path, images: np.ndarray) -> np.ndarray:
    """What onnxruntime makes of a file."""
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    answers: np.ndarray = session.run(None, {session.get_inputs()[0].name: images})[0]
    return answers


@click.command()
@click.argument("folder", type=click.Path(exists=True, path_type=Path))
def main(folder: Path) -> None:
    """Read, list and export each; compare the files at its own size, and at another batch and size."""
    table = Table("network", "sites", "refused", "free in the file", "error", "error elsewhere", "seconds")
    for name, (height, width) in NETWORKS.items():
        start = time.perf_counter()
        module, _ = onnx_input.read(str(folder / name), (height, width))
        shape = cast(Shape, module.input_shape)
        network = analyse(name, module, shape)
        again = Path("again.onnx").resolve()
        free = to_onnx(network.merged({}), network.input_shape, again, cast(frozenset[str], module.free))
        other = (3, height + 32 * ("height" in free), width + 64 * ("width" in free))
        errors = []
        for images in (text(1, height, width), text(*other)):
            wanted, got = run(folder / name, images), run(again, images)
            errors.append(f"{np.abs(got - wanted).max() / np.abs(wanted).max():.1e}")
        again.unlink()
        sites = Counter(site.rule for site in network.sites)
        listed = " ".join(f"{rule}:{count}" for rule, count in sorted(sites.items()))
        seconds = f"{time.perf_counter() - start:.0f}"
        table.add_row(name, listed, str(len(network.refused)), ", ".join(sorted(free)), *errors, seconds)
    Console().print(table)


if __name__ == "__main__":
    main()
