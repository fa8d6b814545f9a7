"""ONNX operations that compute, in the forms of old and new exporters, against onnxruntime."""

from pathlib import Path

import numpy as np
import pytest
from onnx import NodeProto, numpy_helper

from tests.training import onnx_cases
from tests.training.onnx_cases import f, i, many, one, s
from tests.training.onnx_files import Arrays

UNARY = (
    "Abs Ceil Cos Elu Erf Exp Floor HardSigmoid HardSwish Identity LeakyRelu Mish Neg Relu Round Selu Sigmoid"
)
UNARY += " Sign Sin Softplus Softsign Tanh Celu ThresholdedRelu"
ACTIVATIONS = [
    *(one(op, 18) for op in UNARY.split()),
    *(one(op, of="abs") for op in ("Log", "Reciprocal", "Sqrt")),
    one("Gelu", 20),
    one("Gelu", 20, label="tanh", approximate="tanh"),
    one("Elu", 9, alpha=0.5),
    one("LeakyRelu", 9, alpha=0.3),
    one("Selu", 9, label="own", alpha=1.5, gamma=1.2),
    one("HardSigmoid", 9, label="own", alpha=0.3, beta=0.4),
    one("HardSigmoid", 14, label="torch", alpha=1 / 6, beta=0.5),
    one("PRelu", 9, label="channels", slope=f(4, 1, 1)),
    one("PRelu", 16, label="one", slope=f(1)),
    one("PRelu", 16, label="width", slope=f(8)),
    one("Clip", 7, min=0.0, max=6.0),
    one("Clip", 10, label="low", min=0.0),
    one("Clip", 13, label="high", low=None, high=s(0.5)),
    one("Clip", 13, label="both", low=s(-0.5), high=s(0.5)),
    one("Clip", 13, label="none"),
    one("Softmax", 11, axis=1),
    one("Softmax", 11, label="last", axis=3),
    one("Softmax", 13, axis=1),
    one("Softmax", 13, label="default"),
    one("LogSoftmax", 11),
    one("LogSoftmax", 13, axis=2),
    one("Dropout", 10, ratio=0.5),
    one("Dropout", 13, ratio=s(0.5), training=np.array(False)),
]
ARITHMETIC = [
    *(
        one(op, label=label, w=w)
        for op in ("Add", "Sub", "Mul", "Div")
        for label, w in (("number", s(1.5)), ("maps", f(4, 1, 1)))
    ),
    one("Pow", w=s(2.0)),
    one("Pow", 13, label="integer", w=i(3)[0]),
    one("Pow", of="abs", label="root", w=s(0.5)),
    one("Max", w=f(1, 4, 1, 1)),
    one("Min", 8, w=f(1, 4, 1, 1), v=s(0.1)),
    one("Sum", w=f(4, 1, 1), v=f(8)),
    one("Mean", w=f(4, 1, 1)),
    one("Mod", w=s(0.7), fmod=1),
    many("number first", [("Sub", "k x", "a"), ("Div", "k a", "y")], k=s(1.0)),
    many("Where", [("Greater", "x k", "c"), ("Where", "c x k", "y")], k=s(0.2)),
    many(
        "Equal and Not",
        [("Floor", "x", "a"), ("Equal", "a k", "c"), ("Not", "c", "d"), ("Cast", "d", "y", {"to": 1})],
        k=s(0),
    ),
    many("Cast", [("Cast", "x", "a", {"to": 7}), ("Cast", "a", "y", {"to": 1})]),
    many("Cast to its own type", [("Cast", "x", "y", {"to": 1})]),
    many("two tensors", [("Relu", "x", "a"), ("Mul", "a x", "b"), ("Add", "b a", "y")]),
]
CONVOLUTIONS = [
    one("Conv", 9, w=f(6, 4, 3, 3), b=f(6), pads=[1, 1, 1, 1], strides=[2, 2]),
    one("Conv", label="asymmetric", w=f(6, 4, 3, 3), pads=[0, 1, 1, 2]),
    one("Conv", label="groups", w=f(4, 2, 3, 3), group=2, dilations=[2, 1]),
    *(
        one("Conv", label=f"{a} {n}", w=f(6, 4, n, n), auto_pad=a, strides=[2, 2])
        for n in (2, 3)
        for a in ("SAME_UPPER", "SAME_LOWER", "VALID")
    ),
    many(
        "Conv of one dimension",
        [("Reshape", "x t", "a"), ("Conv", "a w", "y", {"pads": [1, 1]})],
        t=i(0, 4, 48),
        w=f(5, 4, 3),
    ),
    one(
        "ConvTranspose", 9, w=f(4, 5, 3, 3), b=f(5), pads=[1, 1, 1, 1], strides=[2, 2], output_padding=[1, 1]
    ),
    one("ConvTranspose", label="groups", w=f(4, 2, 2, 2), strides=[2, 2], group=2),
    one("ConvTranspose", label="asymmetric", w=f(4, 5, 3, 3), pads=[0, 1, 1, 0], strides=[2, 2]),
    *(
        one("ConvTranspose", label=a, w=f(4, 5, 3, 3), auto_pad=a, strides=[2, 2])
        for a in ("SAME_UPPER", "SAME_LOWER")
    ),
    one("ConvTranspose", label="output shape", w=f(4, 5, 3, 3), output_shape=[12, 16], strides=[2, 2]),
    one("MatMul", w=f(8, 5)),
    many("MatMul of two tensors", [("Transpose", "x", "a", {"perm": [0, 1, 3, 2]}), ("MatMul", "x a", "y")]),
    many(
        "Gemm",
        [("Flatten", "x", "a"), ("Gemm", "a w b", "y", {"transB": 1, "alpha": 0.5, "beta": 2.0})],
        w=f(5, 192),
        b=f(5),
    ),
    many(
        "Gemm of another layout", [("Flatten", "x", "a"), ("Gemm", "a w b", "y")], 9, w=f(192, 5), b=f(1, 5)
    ),
    many("Gemm with a number", [("Flatten", "x", "a"), ("Gemm", "a w b", "y")], w=f(192, 5), b=s(0.5)),
    one("Einsum", equation="nchw,cd->ndhw", w=f(4, 5)),
    many(
        "weights in a node",
        [
            ("Constant", "", "w", {"value": numpy_helper.from_array(f(3, 4, 1, 1))}),
            ("Conv", "x w", "y"),
        ],
    ),
]
POOLS = [
    *(one(op, 9) for op in ("GlobalAveragePool", "GlobalMaxPool")),
    *(
        one(op, 22, label=label, **rest)
        for op in ("MaxPool", "AveragePool")
        for label, rest in {
            "plain": {"kernel_shape": [2, 2], "strides": [2, 2]},
            "padded": {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]},
            "asymmetric": {"kernel_shape": [3, 3], "strides": [1, 2], "pads": [0, 0, 1, 1]},
            "reaching": {"kernel_shape": [3, 3], "pads": [1, 0, 2, 1]},
            "up": {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1},
            "padded up": {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1], "ceil_mode": 1},
            "upper": {"kernel_shape": [3, 3], "strides": [2, 2], "auto_pad": "SAME_UPPER"},
            "lower": {"kernel_shape": [2, 2], "auto_pad": "SAME_LOWER"},
        }.items()
    ),
    one("MaxPool", 12, label="dilated", kernel_shape=[2, 2], dilations=[2, 2]),
    one("AveragePool", label="counted", kernel_shape=[3, 3], pads=[1, 1, 1, 1], count_include_pad=1),
    one(
        "AveragePool", label="counted asymmetric", kernel_shape=[3, 3], pads=[0, 1, 1, 0], count_include_pad=1
    ),
]
NORMS = [
    one("BatchNormalization", 9, w=f(4), b=f(4), m=f(4), v=np.abs(f(4)), epsilon=1e-3),
    one(
        "BatchNormalization", 15, label="one number", shape=(1, 6, 8), w=f(1), b=f(1), m=f(1), v=np.abs(f(1))
    ),
    one("InstanceNormalization", w=f(4), b=f(4), epsilon=1e-3),
    one("GroupNormalization", 18, w=f(2), b=f(2), num_groups=2),
    one("GroupNormalization", 21, w=f(4), b=f(4), num_groups=2),
    *(
        many(
            f"a group norm of rows, {groups}",
            [
                ("Reshape", "x r", "a"),
                ("InstanceNormalization", "a w b", "n", {"epsilon": 1e-3}),
                ("Shape", "x", "s"),
                ("Reshape", "n s", "y"),
            ],
            r=i(0, groups, -1),
            w=f(groups),
            b=f(groups),
        )
        for groups in (1, 2, 4)
    ),
    one("LayerNormalization", w=f(8), b=f(8)),
    one("LayerNormalization", label="axis", w=f(4, 6, 8), axis=1, epsilon=1e-3),
    *(one("LRN", 9, label=str(n), shape=(8, 4, 4), size=n, alpha=0.5, beta=0.6, bias=2.0) for n in (3, 5)),
    one("LpNormalization", axis=1, p=2),
]
_REDUCERS = "ReduceMean ReduceMax ReduceMin ReduceL1 ReduceL2 ReduceSumSquare ReduceLogSumExp ReduceProd"
REDUCTIONS = [
    *(one(op, 11, axes=[2, 3]) for op in [*_REDUCERS.split(), "ReduceSum"]),
    *(one(op, 18, a=i(-1), keepdims=0) for op in _REDUCERS.split()),
    one("ReduceSum", 13, a=i(1, 2)),
    one("ReduceMean", 18, label="nothing", noop_with_empty_axes=1),
    *(
        many(op, [(op, "x", "a", {"axis": 1, "keepdims": 0}), ("Cast", "a", "y", {"to": 1})])
        for op in ("ArgMax", "ArgMin")
    ),
]
CASES = [*ACTIVATIONS, *ARITHMETIC, *CONVOLUTIONS, *POOLS, *NORMS, *REDUCTIONS]


@pytest.mark.parametrize(("nodes", "weights", "opset", "shape"), CASES)
def test_an_operation_answers_as_in_onnxruntime(
    nodes: list[NodeProto], weights: Arrays, opset: int, shape: tuple[int, int, int], tmp_path: Path
) -> None:
    onnx_cases.check(nodes, weights, opset, shape, tmp_path)
