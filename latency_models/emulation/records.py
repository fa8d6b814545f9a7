"""The public records of ncnn's benchmark: the kernels of its networks, and its times by board."""

import math
from dataclasses import dataclass
from functools import cache
from typing import Any

import pandas as pd

from latency_models.build_tables import SOURCES
from latency_models.kernel import Kernel, Shape

_FREE = ("Split", "Flatten", "Reshape", "Dropout")
_UNARY = {
    "ReLU": "relu",
    "Swish": "silu",
    "HardSwish": "hardswish",
    "HardSigmoid": "hardsigmoid",
    "Sigmoid": "sigmoid",
    "Softmax": "softmax",
    "ShuffleChannel": "channelshuffle",
    "Permute": "permute",
    "Interp": "interpolate",
}
# Networks of plain layers; the others end in heads whose boxes are no kernels that are known here.
PLAIN = (
    *("googlenet", "resnet18", "vgg16", "alexnet", "squeezenet", "mobilenet", "mobilenet_v3", "mnasnet"),
    *("shufflenet", "shufflenet_v2", "efficientnet_b0", "efficientnetv2_b0", "regnety_400m"),
)


@dataclass(frozen=True)
class Board:
    """A board of the records.

    `record` is how its name begins there, `powersave` which of its cores ran (0 all, 1 the small ones, 2 the
    big ones).
    """

    name: str
    core: str
    clock_ghz: float
    record: str
    powersave: int = 0


BOARDS = (
    Board("raspberry-pi-3", "cortex-a53", 1.4, "Raspberry Pi 3 Model B+"),
    Board("raspberry-pi-zero-2", "cortex-a53", 1.0, "Raspberry Pi Zero 2"),
    Board("rk3399-a53", "cortex-a53", 1.5, "Rockchip RK3399", 1),
    Board("arduino-uno-q", "cortex-a53", 2.0, "Arduino UNO Q"),
    Board("rk3228h", "cortex-a53", 1.3, "EAIDK 310"),
    Board("snapdragon-410", "cortex-a53", 1.2, "Qualcomm MSM8916"),
    Board("ax630c", "cortex-a53", 1.2, "AXERA AX630C"),
    Board("rk3328", "cortex-a53", 1.3, "NanoPi R2S"),
    Board("h616", "cortex-a53", 1.5, "OrangePi Zero 2"),
    Board("rdk-x3", "cortex-a53", 1.5, "RDK X3"),
    Board("rk3568-a55", "cortex-a55", 2.0, "Rock3A"),
    Board("station-p2", "cortex-a55", 2.0, "Station P2"),
    Board("rk3566-a55", "cortex-a55", 1.8, "OrangePicm4"),
    Board("rk3588-a55", "cortex-a55", 1.8, "Rockchip RK3588 (Cortex-A76", 1),
    Board("radxa-zero-3", "cortex-a55", 1.416, "Radxa Zero 3W"),
    Board("snapdragon-810", "cortex-a57", 2.0, "Qualcomm MSM8994", 2),
    Board("jetson-nano", "cortex-a57", 1.43, "NVIDIA Jetson Nano"),
    Board("rk3399-a72", "cortex-a72", 1.8, "Rockchip RK3399", 2),
    Board("orangepi-4", "cortex-a72", 1.8, "OrangePi4 LTS", 2),
    Board("raspberry-pi-4", "cortex-a72", 1.8, "Raspberry Pi 4 Model B"),
    Board("amlogic-a311d-a73", "cortex-a73", 2.2, "Khadas VIM3", 2),
    Board("kirin-970-a73", "cortex-a73", 2.4, "Kirin 970", 2),
    Board("rk3588-a76", "cortex-a76", 2.4, "Rockchip RK3588 (Cortex-A76", 2),
    Board("rk3588-quad-a76", "cortex-a76", 2.4, "Rockchip RK3588 (Quad Core", 0),
    Board("rk3588s-a76", "cortex-a76", 2.4, "Station-M3", 0),
    Board("raspberry-pi-5", "cortex-a76", 2.4, "Raspberry Pi 5 Broadcom BCM2712, Cortex-A76"),
)


@cache
def networks() -> dict[str, tuple[Kernel, ...]]:
    """The kernels of every network of the records, in order.

    Left out are the layers that make boxes of a detector's maps, and what costs nothing.
    """
    layers = pd.read_csv(SOURCES / "layers.csv.gz", keep_default_na=False)
    return {str(name): tuple(_kernels(rows)) for name, rows in layers.groupby("network")}


def times_ms(board: Board, threads: int) -> dict[str, float]:
    """Milliseconds by network on a board (the fastest of its loops); empty where nothing is recorded."""
    records = pd.read_csv(SOURCES / "networks.csv.gz")
    rows = records[
        records["device"].str.startswith(board.record)
        & (records["num_threads"] == threads)
        & (records["powersave"] == board.powersave)
        & records["network"].isin(list(networks()))
    ]
    return {str(name): float(ms) for name, ms in zip(rows["network"], rows["min_ms"], strict=True)}


def _kernels(rows: pd.DataFrame) -> list[Kernel]:
    known = rows[~rows["op"].isin(_FREE) & (rows["in_chw"] != "") & (rows["out_chw"] != "")]
    found = (_kernel(row) for row in known.itertuples())
    return [kernel for kernel in found if kernel is not None]


def _kernel(row: Any) -> Kernel | None:
    sources, made = [_shape(text) for text in row.in_chw.split(";")], _shape(row.out_chw)
    first = sources[0]
    if row.op in _UNARY:
        return Kernel(_UNARY[row.op], first, made)
    match row.op:
        case "Convolution" | "ConvolutionDepthWise":
            window, stride = _pair(row.kernel), _pair(row.stride)
            padding = _pads(first, made, window, stride)
            groups = int(float(row.groups or 1))
            return Kernel("conv", first, made, window, stride, padding, groups=groups, activation=row.act)
        case "InnerProduct":
            return Kernel("linear", (math.prod(first), 1, 1), made, activation=row.act)
        case "Pooling" if row.kernel != "global":
            window, stride = _pair(row.kernel), _pair(row.stride)
            op = "maxpool" if row.act == "max" else "avgpool"
            return Kernel(op, first, made, window, stride, _pads(first, made, window, stride))
        case "Pooling" | "Reduction":
            return Kernel("avgpool", first, made, first[1:], first[1:])
        case "LRN":
            return Kernel("lrn", first, made, (5, 1))
        case "BinaryOp" | "Eltwise":
            return Kernel("gate" if len(sources) > 1 and sources[1] != first else "add", first, made)
        case "Concat" if all(source[1:] == made[1:] for source in sources):
            return Kernel("concat", made, made, parts=tuple(source[0] for source in sources))
        case "Slice" | "Crop" if made[0] < first[0]:
            return Kernel("split", first, first, parts=(made[0], first[0] - made[0]))
    return None


def _shape(text: str) -> Shape:
    channels, height, width = (*map(int, text.split("x")), 1, 1)[:3]
    return channels, height, width


def _pair(text: str) -> tuple[int, int]:
    height, width = map(int, text.split("x"))
    return height, width


def _pads(source: Shape, made: Shape, window: tuple[int, int], stride: tuple[int, int]) -> tuple[int, int]:
    """Padding before a map, worked out from its sizes: half of all that they ask for, rounded up."""
    top, left = (
        max(0, -(-((made[n + 1] - 1) * stride[n] + window[n] - source[n + 1]) // 2)) for n in range(2)
    )
    return top, left
