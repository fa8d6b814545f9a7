"""ncnn's parameter files: one kernel as a network of one layer, and the ends of finished networks."""

from latency_models.kernel import Kernel

MAGIC = "7767517"
_FUSED = {"": "", "relu": "9=1", "relu6": "9=3 -23310=2,0.0,6.0"} | {
    "leakyrelu": "9=2 -23310=1,0.01",
    "sigmoid": "9=4",
    "mish": "9=5",
    "hardswish": "9=6 -23310=2,0.1666667,0.5",
}
_ACTIVATIONS = {
    "leakyrelu": ("ReLU", "0=0.01"),
    "sigmoid": ("Sigmoid", ""),
    "tanh": ("TanH", ""),
    "hardsigmoid": ("HardSigmoid", "0=0.1666667 1=0.5"),
    "hardswish": ("HardSwish", "0=0.1666667 1=0.5"),
    "silu": ("Swish", ""),
    "mish": ("Mish", ""),
    "gelu": ("GELU", ""),
}
_MAX, _AVERAGE, _VALID = 0, 1, 1
_CHANNELS_LAST = 3


def layer_of(kernel: Kernel) -> tuple[str, str]:
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
        case "mul" | "gate":
            return "BinaryOp", "0=2"
        case "batchnorm":
            return "BatchNorm", f"0={kernel.in_shape[0]}"
        case "split":
            return "Slice", f"-23300={len(kernel.parts)},{','.join(map(str, kernel.parts))} 1=0"
        case "concat":
            return "Concat", "0=0"
        case "softmax":
            return "Softmax", "0=0"
        case "channelshuffle" if not kernel.details:
            return "ShuffleChannel", "0=2"
        case "permute" if not kernel.details:
            return "Permute", f"0={_CHANNELS_LAST}"
        case "interpolate" if not kernel.details:
            return "Interp", f"0=1 3={kernel.out_shape[1]} 4={kernel.out_shape[2]}"
    if kernel.op in _ACTIVATIONS:
        return _ACTIVATIONS[kernel.op]
    raise NotImplementedError(f"operation {kernel.op!r} has no one-layer ncnn network")


def ends_of(text: str) -> tuple[list[str], list[str]]:
    """The names of a network's inputs, and of what it makes that no layer reads.

    Raises
    ------
    ValueError
        The text is no parameter file.
    """
    magic, _, *lines = (*text.splitlines(), "", "")
    if magic.strip() != MAGIC:
        raise ValueError("it is not one of ncnn's parameter files")
    inputs: list[str] = []
    made: list[str] = []
    read: set[str] = set()
    for kind, _, *rest in (line.split() for line in lines if line.strip()):
        sources, targets = int(rest[0]), int(rest[1])
        names = rest[2 : 2 + sources + targets]
        read |= set(names[:sources])
        made += names[sources:]
        if kind == "Input":
            inputs += names[sources:]
    return inputs, [name for name in made if name not in read]
