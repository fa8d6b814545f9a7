"""ncnn on the CPU: fuses activations into convolutions and fully connected layers, drops dropout.

Batch norms are folded by its optimiser; flattening shares memory. Each kernel is timed as a network of
one layer, on plain maps: packing of channels, which ncnn does inside its layers, is part of the time.
"""

from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version

from latency_models.kernel import Kernel, Layer
from latency_models.runtime import Job, Runtime, drop_free, fuse_activations
from latency_models.target import Target

_FREE = {"flatten", "identity", "part", "dropout"}
_MAGIC = "7767517"
_FUSED = {"": "", "relu": "9=1", "relu6": "9=3 -23310=2,0.0,6.0"}
_MAX, _AVERAGE, _VALID = 0, 1, 1


class Ncnn:
    name = "ncnn"

    def on(self, target: Target) -> Runtime:
        return self

    def fuse(self, layers: Sequence[Layer]) -> list[Layer]:
        return fuse_activations(drop_free(layers, _FREE), into={"conv", "linear"}, which={"relu", "relu6"})

    def job(self, kernel: Kernel) -> Job | None:
        inputs: dict[str, tuple[int, ...]]
        if kernel.op == "concat":
            inputs = {f"x{i}": (c, *kernel.out_shape[1:]) for i, c in enumerate(kernel.parts)}
        elif kernel.op == "add":
            inputs = {"x0": kernel.in_shape, "x1": kernel.in_shape}
        else:
            inputs = {"x": kernel.in_shape if kernel.op != "linear" else kernel.in_shape[:1]}
        kind, options = _layer(kernel)
        lines = [f"Input {name} 0 1 {name}" for name in inputs]
        lines.append(f"{kind} y {len(inputs)} 1 {' '.join(inputs)} y {options}".rstrip())
        text = "\n".join([_MAGIC, f"{len(lines)} {len(lines)}", *lines, ""])
        weights = [(True, kernel.parameters - kernel.out_shape[0]), (False, kernel.out_shape[0])]
        details = {"inputs": inputs, "weights": weights if kernel.macs else []}
        return Job({".param": text.encode()}, details)

    def probes(self) -> dict[str, bytes]:
        return {}

    def version(self) -> str:
        try:
            return version("ncnn")
        except PackageNotFoundError:
            return "not installed here"


def _layer(kernel: Kernel) -> tuple[str, str]:
    """Kind and options of a layer, as ncnn's parameter files write them.

    Raises
    ------
    NotImplementedError
        The operation is unknown; the message names it.
    """
    (kh, kw), (sh, sw), (top, left) = kernel.window, kernel.stride, kernel.padding
    match kernel.op:
        case "conv":
            kind = "Convolution" if kernel.groups == 1 else "ConvolutionDepthWise"
            group = f"7={kernel.groups}" if kernel.groups > 1 else ""
            sizes = f"0={kernel.out_shape[0]} 1={kw} 11={kh} 2={kernel.dilation[1]} 12={kernel.dilation[0]}"
            place = f"3={sw} 13={sh} 4={left} 14={top} 5=1 6={kernel.parameters - kernel.out_shape[0]}"
            return kind, f"{sizes} {place} {group} {_FUSED[kernel.activation]}"
        case "linear":
            weights = kernel.parameters - kernel.out_shape[0]
            return "InnerProduct", f"0={kernel.out_shape[0]} 1=1 2={weights} {_FUSED[kernel.activation]}"
        case "maxpool" | "avgpool" | "mean":
            average = _MAX if kernel.op == "maxpool" else _AVERAGE
            if average and kernel.window == kernel.in_shape[1:]:
                return "Pooling", f"0={average} 4=1"
            bottom, right = kernel.end_padding
            pads = f"3={left} 13={top} 14={right} 15={bottom}"
            return "Pooling", f"0={average} 1={kw} 11={kh} 2={sw} 12={sh} {pads} 5={_VALID} 6=1"
        case "lrn":
            return "LRN", f"0=0 1={kernel.window[0]} 2=0.0001 3=0.75"
        case "relu":
            return "ReLU", ""
        case "relu6":
            return "Clip", "0=0.0 1=6.0"
        case "add":
            return "BinaryOp", "0=0"
        case "concat":
            return "Concat", "0=0"
    raise NotImplementedError(f"operation {kernel.op!r} has no one-layer ncnn network")


RUNTIME = Ncnn()
