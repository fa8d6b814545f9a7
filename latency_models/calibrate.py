"""Calibrate targets from whole-network timings: ``python -m latency_models.calibrate [TARGET ...]``.

Writes ``calibrations/NAME.json`` for every target whose file names a board of ncnn's benchmark records: a
price for each kind of work (its runtime's ``work``), and how far networks left out of the fit are missed.
"""

import json
import sys
from collections.abc import Iterator, Mapping
from functools import cache

import numpy as np
import pandas as pd
from scipy.optimize import nnls

from latency_models.build_tables import SOURCES
from latency_models.kernel import Kernel
from latency_models.runtime import discover
from latency_models.target import CALIBRATIONS, Target, load, names

_RECORDED = discover()["ncnn"]  # what the records were made with
_TRUST = 0.1  # weight of the starting ratios against the timings
_ROUNDS = 3
_FREE = ("Split", "Flatten", "Reshape", "Dropout")
_FUNCTIONS = {"Swish": "silu", "Sigmoid": "sigmoid", "Softmax": "softmax"}  # of the layers that are no relu
_OPS = {"InnerProduct": "linear", "LRN": "lrn"}
PLAIN = (
    *("googlenet", "resnet18", "vgg16", "alexnet", "squeezenet", "mobilenet", "mobilenet_v3", "mnasnet"),
    *("shufflenet", "shufflenet_v2"),
)


@cache
def work() -> dict[str, np.ndarray]:
    """Counts of each kind of work in the networks of the records, by network."""
    layers = pd.read_csv(SOURCES / "layers.csv.gz", keep_default_na=False)
    return {
        str(name): np.sum([_RECORDED.work(kernel) for kernel in _kernels(rows)], axis=0)
        for name, rows in layers.groupby("network")
    }


def _kernels(rows: pd.DataFrame) -> Iterator[Kernel]:
    for row in rows.itertuples():
        if row.op in _FREE or not row.in_chw or not row.out_chw:
            continue
        source, target = _shape(str(row.in_chw)), _shape(str(row.out_chw))
        if row.op in ("Convolution", "ConvolutionDepthWise"):
            window, stride = _pair(str(row.kernel)), _pair(str(row.stride))
            groups = int(float(str(row.groups) or 1))
            yield Kernel("conv", source, target, window, stride, groups=groups)
        elif row.op == "Pooling":
            everything = row.kernel == "global"
            yield Kernel("maxpool", source, target, source[1:] if everything else _pair(str(row.kernel)))
        elif row.op in _OPS:
            flat = row.op == "InnerProduct"
            yield Kernel(_OPS[str(row.op)], (int(np.prod(source)), 1, 1) if flat else source, target)
        else:
            op = _FUNCTIONS.get(str(row.op), "relu")
            for part in str(row.in_chw).split(";"):
                yield Kernel(op, _shape(part), _shape(part))


def _shape(text: str) -> tuple[int, int, int]:
    numbers = [int(n) for n in text.split(";")[0].split("x")]
    first, second, third = (*numbers, 1, 1)[:3]
    return first, second, third


def _pair(text: str) -> tuple[int, int]:
    first, second = (int(n) for n in text.split("x"))
    return first, second


def timings(target: Target) -> dict[str, float]:
    """Milliseconds by network on a target's board (the fastest of the record's loops)."""
    records = pd.read_csv(SOURCES / "networks.csv.gz")
    rows = records[
        records["device"].str.startswith(target.calibration)
        & (records["num_threads"] == target.threads)
        & (records["powersave"] == target.powersave)
        & records["network"].isin(list(work()))
    ]
    return {str(name): float(ms) for name, ms in zip(rows["network"], rows["min_ms"], strict=True)}


def prices(times_ms: Mapping[str, float]) -> np.ndarray:
    """Microseconds for each kind of work: non-negative, least relative errors, near the ratios."""
    times_us = np.array([1000 * ms for ms in times_ms.values()])
    design = np.stack([work()[name] for name in times_ms]) / times_us[:, None]
    ratios = np.array(list(_RECORDED.ratios.values()))
    start = ratios / np.median(design @ ratios)
    found = start
    for _ in range(_ROUNDS):
        pull = np.sqrt(_TRUST) * np.diag(1 / start)
        rows = np.vstack([design, pull])
        wanted = np.concatenate([np.ones(len(times_us)), np.full(len(start), np.sqrt(_TRUST))])
        scale = rows.max(axis=0)
        found = nnls(rows / scale, wanted)[0] / scale
        # The board's speed: all ratios together follow what was found.
        start = start * np.exp(np.mean(np.log(np.maximum(found / start, 0.2))))
    return found


def left_out(times_ms: Mapping[str, float]) -> dict[str, float]:
    """Relative error of every network when it is left out of the fit."""
    errors: dict[str, float] = {}
    for name, ms in times_ms.items():
        others = {other: value for other, value in times_ms.items() if other != name}
        errors[name] = float(work()[name] @ prices(others)) / (1000 * ms) - 1
    return errors


def calibrate(target: Target) -> dict[str, object]:
    """The content of a target's calibration file."""
    times_ms = timings(target)
    errors = left_out(times_ms)
    plain = [abs(errors[name]) for name in PLAIN if name in errors]
    return {
        "prices_us": dict(zip(_RECORDED.ratios, prices(times_ms).tolist(), strict=True)),
        "error": float(np.mean(plain)),
        "left_out": {name: round(error, 4) for name, error in errors.items()},
    }


def main() -> None:
    wanted = sys.argv[1:] or [name for name in names() if load(name).calibration]
    for name in wanted:
        found = calibrate(load(name))
        text = json.dumps(found, indent=1) + "\n"
        (CALIBRATIONS / f"{name}.json").write_text(text)
        print(
            f"{name}: {100 * float(str(found['error'])):.1f} % mean error on plain CNNs left out of the fit"
        )


if __name__ == "__main__":
    main()
