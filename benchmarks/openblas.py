"""Whether counted instructions explain Caffe's measured convolutions on a Cortex-A57 better than shapes do.

Caffe multiplies matrices with OpenBLAS. The products of the 88 measured convolutions (Jetson TX1; see
latency_models/sources) run under the emulator with the OpenBLAS that numpy's aarch64 wheel holds, of which
the kernels for Cortex-A57 are taken. Instructions alone: two classes, lines that caches lack, bytes of the
columns. With shapes: all instructions in the place of multiplications in the model of shapes.

python benchmarks/openblas.py     # a minute; needs the emulator: profile --emulate --setup
"""

import sys
import tempfile
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table
from scipy.optimize import nnls

sys.path.insert(0, str(Path(__file__).parents[1]))

from latency_models.build_tables import measurements, records
from latency_models.emulation import emulator
from latency_models.emulation.counts import CLASSES, INSTRUCTIONS
from latency_models.kernel import Kernel
from latency_models.runtime import discover
from latency_models.table import Measurement

_PROGRAM = """
import os, numpy
for rows, depth, columns, groups in {products}:
    weights = numpy.full((rows, depth), 0.5, "float32")
    values = numpy.full((depth, columns), 0.5, "float32")
    made = numpy.empty((rows, columns), "float32")
    for _ in range(2):
        os.getppid()
        numpy.matmul(weights, values, out=made)
        os.getppid()
"""


def main() -> None:
    rows = [
        (network, row)
        for network, _, row in measurements(records("jetson-tx1", None))
        if row.kernel.op == "conv"
    ]
    counts = counted([row.kernel for _, row in rows])
    shapes = [discover()["caffe"].features(row.kernel) for _, row in rows]
    alone = [
        np.array([values[0], values[1:INSTRUCTIONS].sum(), *values[-2:], _column_bytes(row.kernel), 1.0])
        for values, (_, row) in zip(counts, rows, strict=True)
    ]
    both = [  # in the place of multiplications
        np.array([values[:INSTRUCTIONS].sum(), *shape[1:]])
        for values, shape in zip(counts, shapes, strict=True)
    ]
    table = Table(title="measured convolutions of Caffe on a Cortex-A57, one network left out: error in %")
    for heading in ("network", "convolutions"):
        table.add_column(heading, justify="right")
    for model in ("shapes", "instructions", "shapes with instructions"):
        table.add_column(f"{model}, mean", justify="right")
        table.add_column("their sum", justify="right")
    for network in dict.fromkeys(name for name, _ in rows):
        cells = [cell for features in (shapes, alone, both) for cell in _left_out(rows, features, network)]
        table.add_row(network, str(sum(name == network for name, _ in rows)), *cells)
    Console(width=120).print(table)


def counted(kernels: list[Kernel]) -> list[np.ndarray]:
    """Instructions by class, and lines that the caches lack, of every convolution's products."""
    products = [
        (k.out_shape[0] // k.groups, k.taps, k.out_shape[1] * k.out_shape[2], k.groups) for k in kernels
    ]
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        (folder / "products.py").write_text(_PROGRAM.format(products=products))
        emulator.Emulator(emulator.folder()).python(["products.py"], folder)
        readings = np.loadtxt(folder / emulator.COUNTS, dtype=np.int64)
    second = readings[3::4] - readings[2::4]
    wanted = [place for place, name in enumerate(CLASSES) if not name.startswith("bytes")]
    return [
        kernel.groups * values[wanted].astype(float) for kernel, values in zip(kernels, second, strict=True)
    ]


def _column_bytes(kernel: Kernel) -> float:
    """What Caffe copies before it multiplies: nothing for windows of one value."""
    pixels = kernel.out_shape[1] * kernel.out_shape[2]
    alone = kernel.window == (1, 1) and kernel.stride == (1, 1)
    return 0.0 if alone else 4.0 * kernel.taps * kernel.groups * pixels


def _left_out(
    rows: list[tuple[str, Measurement]], features: list[np.ndarray], network: str
) -> tuple[str, str]:
    inside = [place for place, (name, _) in enumerate(rows) if name != network]
    outside = [place for place, (name, _) in enumerate(rows) if name == network]
    times = np.array([row.median_us for _, row in rows])
    design = np.stack(features)
    relative = design[inside] / times[inside, None]
    scale = relative.max(axis=0) + 1e-30
    weights = nnls(relative / scale, np.ones(len(inside)))[0] / scale
    found = design[outside] @ weights
    error = np.abs(found / times[outside] - 1).mean()
    return f"{100 * error:.1f}", f"{100 * (found.sum() / times[outside].sum() - 1):+.1f}"


if __name__ == "__main__":
    main()
