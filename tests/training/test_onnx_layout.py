"""ONNX operations that move numbers, in the forms of old and new exporters, against onnxruntime."""

from pathlib import Path

import numpy as np
import pytest
from onnx import NodeProto, ValueInfoProto, helper

from tests.training import onnx_cases
from tests.training.onnx_cases import f, i, many, one, s
from tests.training.onnx_files import Arrays

SHAPES = [
    one("Flatten", 9),
    *(
        many(f"Flatten {n}", [("Flatten", "x", "a", {"axis": n}), ("Reshape", "a t", "y")], t=i(-1, 192))
        for n in (2, 3, 4)
    ),
    one("Reshape", label="zero", t=i(0, -1)),
    many(
        "a weight in another shape",
        [
            ("Reshape", "w a", "v"),
            ("ReduceMean", "v", "m", {"axes": [2]}),
            ("Sub", "v m", "s"),
            ("Reshape", "s b", "n"),
            ("Conv", "x n", "y"),
        ],
        w=f(5, 4, 3, 3),
        a=i(1, 5, -1),
        b=i(5, 4, 3, 3),
    ),
    one("Reshape", label="batch", t=i(-1, 192)),
    one("Reshape", label="split", t=i(0, 2, 2, 6, 8)),
    one("Reshape", label="baked", t=i(1, 2, 2, 6, 8)),
    one("Reshape", 14, label="allowzero", t=i(-1, 4, 48), allowzero=1),
    many("Squeeze", [("GlobalAveragePool", "x", "a"), ("Squeeze", "a", "y", {"axes": [2, 3]})], 11),
    many("Squeeze by input", [("GlobalAveragePool", "x", "a"), ("Squeeze", "a t", "y")], t=i(-1, -2)),
    one("Unsqueeze", 11, axes=[1, -1]),
    one("Unsqueeze", 13, t=i(2, 4)),
    one("Transpose", perm=[0, 2, 3, 1]),
    many("Concat", [("Relu", "x", "a"), ("Concat", "x a x", "y", {"axis": -3})]),
    *(one("DepthToSpace", 13, label=m, shape=(8, 3, 5), blocksize=2, mode=m) for m in ("DCR", "CRD")),
    one("SpaceToDepth", blocksize=2),
    one("Expand", t=i(1, 4, 6, 8), shape=(1, 6, 8)),
    many(
        "Expand to more dimensions",
        [("Unsqueeze", "x a", "b"), ("Expand", "b t", "y")],
        a=i(1),
        t=i(1, 3, 1, 1, 1),
    ),
    one("Tile", t=i(1, 2, 1, 2)),
    many(
        "a view by its batch",
        [
            ("Shape", "x", "s"),
            ("Gather", "s z", "n", {"axis": 0}),
            ("Unsqueeze", "n z1", "n1"),
            ("Concat", "n1 m", "t", {"axis": 0}),
            ("Reshape", "x t", "y"),
        ],
        z=np.int64(0),
        z1=i(0),
        m=i(-1),
    ),
    many(
        "shuffled channels",
        [
            ("Reshape", "x a", "p"),
            ("Transpose", "p", "q", {"perm": [0, 2, 1, 3, 4]}),
            ("Reshape", "q b", "y"),
        ],
        a=i(1, 2, 2, 6, 8),
        b=i(1, -1, 6, 8),
    ),
    many(
        "If folded",
        [
            ("Shape", "x", "s"),
            ("Gather", "s k", "n"),
            ("Equal", "n k4", "c"),
            ("Cast", "c", "d", {"to": 9}),
            (
                "If",
                "d",
                "y",
                {
                    "then_branch": helper.make_graph(
                        [helper.make_node("Relu", ["x"], ["t"])],
                        "t",
                        [],
                        [ValueInfoProto(name="t")],
                    ),
                    "else_branch": helper.make_graph(
                        [helper.make_node("Neg", ["x"], ["e"])],
                        "e",
                        [],
                        [ValueInfoProto(name="e")],
                    ),
                },
            ),
        ],
        k=np.int64(1),
        k4=np.int64(4),
    ),
    many(
        "a filled tensor",
        [("Shape", "x", "s"), ("ConstantOfShape", "k", "o"), ("Add", "x o", "y")],
        k=i(1, 4, 1, 1),
    ),
    many(
        "places for each image",
        [
            ("Shape", "x", "s"),
            ("ConstantOfShape", "s", "o", {"value": helper.make_tensor("v", 1, [1], [0.5])}),
            ("CumSum", "o k", "c"),
            ("Add", "x c", "y"),
        ],
        k=np.int64(3),
    ),
    many(
        "a row gathered in its order",
        [
            ("Reshape", "x r", "a"),
            ("Size", "x", "n"),
            ("Range", "z n d", "p"),
            ("Gather", "a p", "b"),
            ("Reshape", "b t", "y"),
        ],
        r=i(-1),
        z=np.int64(0),
        d=np.int64(1),
        t=i(-1, 192),
    ),
    one("CumSum", k=np.int64(1)),
]
INDEXING = [
    one("Split", 11, axis=1, split=[4]),
    *(
        many(
            f"Split {label}",
            [
                ("Split", f"x{' t' * bool(w)}", "a b", {"axis": 1, **rest}),
                ("Concat", "b a", "y", {"axis": 1}),
            ],
            o,
            **w,
        )
        for label, o, rest, w in (
            ("attribute", 11, {"split": [1, 3]}, {}),
            ("input", 13, {}, {"t": i(3, 1)}),
            ("equal", 13, {}, {}),
            ("number", 18, {"num_outputs": 2}, {}),
        )
    ),
    one("Slice", 9, starts=[1, 0], ends=[3, 2**31 - 1], axes=[1, 2]),
    one("Slice", a=i(-3), b=i(2**63 - 1), c=i(3)),
    one("Slice", label="steps", a=i(0, 1), b=i(8, 6), c=i(3, 2), d=i(2, 3)),
    one("Slice", label="backwards", a=i(-1), b=i(-(2**63) + 1), c=i(1), d=i(-1)),
    one("Slice", label="backwards from 6 to 1", a=i(6), b=i(1), c=i(3), d=i(-2)),
    one("Gather", a=i(2)[0], axis=1),
    one("Gather", label="several", a=i(2, 0, -1), axis=1),
    one("Gather", label="table", a=np.array([[0, 1], [2, 3]]), axis=1),
    one("Pad", 10, pads=[0, 0, 1, 2, 0, 0, 3, 0], value=0.5),
    one("Pad", 13, p=i(0, 1, 1, 2, 0, 0, 3, 0), v=s(-1)),
    one("Pad", 18, label="axes", p=i(1, 2, 3, 0), v=None, a=i(2, 3)),
    one("Pad", label="cut", p=i(0, 0, -1, 0, 0, 0, 0, -2)),
    *(one("Pad", label=m, p=i(0, 0, 1, 2, 0, 0, 2, 1), mode=m) for m in ("reflect", "edge")),
]
_NEAREST = [
    (c, n)
    for c in ("half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel")
    for n in ("floor", "round_prefer_floor", "ceil", "round_prefer_ceil")
]
RESIZES = [
    one("Upsample", 7, scales=[1.0, 1.0, 2.0, 2.0]),
    one("Upsample", 9, s=np.array([1, 1, 2, 3], np.float32), mode="nearest"),
    one("Resize", 10, s=np.array([1, 1, 2, 1.5], np.float32)),
    *(
        one(
            "Resize",
            13,
            label=f"{c} {n} {scale}",
            r=None,
            s=np.array([1, 1, scale, scale], np.float32),
            coordinate_transformation_mode=c,
            nearest_mode=n,
        )
        for c, n in _NEAREST
        for scale in (2, 0.5)
    ),
    *(
        one(
            "Resize",
            13,
            label=f"{m} {c} {scale}",
            r=None,
            s=np.array([1, 1, scale, scale], np.float32),
            coordinate_transformation_mode=c,
            mode=m,
        )
        for m in ("linear", "cubic")
        for c in ("half_pixel", "align_corners", "pytorch_half_pixel")
        for scale in (2, 1.7, 0.5)
    ),
    one("Resize", 18, label="axes", r=None, s=np.array([2, 2], np.float32), axes=[2, 3], mode="linear"),
    one("Resize", 13, label="sizes", r=None, s=None, z=i(1, 4, 9, 20), mode="linear"),
    one("Resize", 11, label="empty scales", r=f(0), s=f(0), z=i(1, 4, 12, 16)),
    many(
        "Resize to another tensor",
        [
            ("MaxPool", "x", "a", {"kernel_shape": [2, 2], "strides": [2, 2]}),
            ("Shape", "x", "s"),
            ("Resize", "a e e s", "y", {"mode": "linear"}),
        ],
        e=f(0),
    ),
]
CASES = [*SHAPES, *INDEXING, *RESIZES]


@pytest.mark.parametrize(("nodes", "weights", "opset", "shape"), CASES)
def test_an_operation_answers_as_in_onnxruntime(
    nodes: list[NodeProto], weights: Arrays, opset: int, shape: tuple[int, int, int], tmp_path: Path
) -> None:
    onnx_cases.check(nodes, weights, opset, shape, tmp_path)
