"""Make the shipped tables from the public records: ``python -m latency_models.build_tables``.

The records hold batches of 2 to 16, never 1. Time an image is flat in the batch for all layers but the
fully connected ones (GoogLeNet: 358-360 ms an image at every batch), so those are read at the
smallest batch; fully connected layers read their weights once a batch, so their time is a line in
the batch, fitted and read off at 1.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.optimize import nnls

from latency_models.kernel import Kernel
from latency_models.table import LatencyTable, Measurement
from latency_models.target import TABLES

SOURCES = Path(__file__).parent / "sources"
_OPS = {
    "Convolution": "conv",
    "InnerProduct": "linear",
    "MaxPool": "maxpool",
    "AvgPool": "avgpool",
    "LRN": "lrn",
    "ReLU": "relu",
    "Concat": "concat",
    "Dropout": "dropout",
    "Softmax": "softmax",
}


TABLES_OF = {
    "arm-a57": ("jetson-tx1", None),
    "rk3399-caffe-2t": ("firefly-rk3399", 2),
    "rk3399-caffe-4t": ("firefly-rk3399", 4),
    "rk3399-caffe-6t": ("firefly-rk3399", 6),
}


def records(device: str, threads: int | None) -> pd.DataFrame:
    """The records of a board: a row a network, layer and batch (threads None: not recorded)."""
    frame = pd.read_csv(SOURCES / "layer_timings.csv.gz")
    counts = frame["threads"].isna() if threads is None else frame["threads"] == threads
    return frame[frame["device"].str.startswith(device) & counts & frame["type"].isin(_OPS)]


def measurements(rows_of_board: pd.DataFrame) -> Iterator[tuple[str, str, Measurement]]:
    """Network, layer and batch-1 time of every layer in a board's records, in network order."""
    for network, layers in rows_of_board.groupby("network", sort=False):
        for _, rows in layers.sort_values("index", kind="stable").groupby("index"):
            first = rows.sort_values("batch", kind="stable").iloc[0]
            kernel = _kernel(first)
            median_us, how = _at_batch_one(rows)
            spread_us = 500 * float((rows["max_ms"] - rows["min_ms"]).div(rows["batch"]).median())
            name = str(first["layer"])
            experiment = "nvidia-tx1" if str(first["device"]).startswith("jetson") else "firefly-rk3399"
            source = f"{network} {name}, {how}, ck-caffe-{experiment}"
            repeats = int(rows["reps"].iloc[0])
            yield str(network), name, Measurement(kernel, median_us, spread_us, repeats, source)


def _at_batch_one(rows: pd.DataFrame) -> tuple[float, str]:
    if rows["type"].iloc[0] != "InnerProduct":
        smallest = rows.sort_values("batch", kind="stable").iloc[0]
        return 1000 * smallest["median_ms"] / smallest["batch"], f"batch {smallest['batch']}"
    # Relative errors count, hence the division by the times themselves.
    design = np.stack([np.ones(len(rows)), rows["batch"]], axis=1) / rows["median_ms"].to_numpy()[:, None]
    line, _ = nnls(design, np.ones(len(rows)))
    return 1000 * float(line.sum()), "line over batches 2-16 read at 1"


def _kernel(row: pd.Series) -> Kernel:
    op = _OPS[row["type"]]
    source = (int(row["in_c"]), int(row["in_hw"]), int(row["in_hw"]))
    target = (int(row["out_c"]), int(row["out_hw"]), int(row["out_hw"]))
    if op == "linear":
        source = (source[0] * source[1] * source[2], 1, 1)
    if op in ("conv", "maxpool", "avgpool"):
        sides = {
            name: (int(row[c]),) * 2
            for name, c in (("window", "kernel"), ("stride", "stride"), ("padding", "pad"))
        }
        return Kernel(op, source, target, groups=int(row["groups"]), **sides)  # type: ignore[arg-type]
    if op == "lrn":
        return Kernel(op, source, target, window=(int(row["kernel"]), 1))
    if op == "concat":
        return Kernel(op, target, target)
    return Kernel(op, source, target)


def main() -> None:
    for name, (device, threads) in TABLES_OF.items():
        rows = [measurement for _, _, measurement in measurements(records(device, threads))]
        by_kernel = pd.DataFrame({"kernel": [r.kernel for r in rows], "row": rows})
        merged = [_average(list(group["row"])) for _, group in by_kernel.groupby("kernel", sort=False)]
        LatencyTable(merged).save(TABLES / f"{name}.csv")
        print(f"{name}: {len(merged)} kernels from {len(rows)} measured layers")


def _average(rows: list[Measurement]) -> Measurement:
    """One row for a kernel that several layers run."""
    first = rows[0]
    median_us = float(np.mean([r.median_us for r in rows]))
    spread_us = max(float(np.ptp([r.median_us for r in rows])) / 2, *(r.spread_us for r in rows), 0.0)
    source = first.source if len(rows) == 1 else f"{first.source} and {len(rows) - 1} more"
    return Measurement(first.kernel, median_us, spread_us, sum(r.repeats for r in rows), source)


if __name__ == "__main__":
    main()
