"""ONNX files that cannot be read: each is refused in one sentence that says what and why."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper
from torch import nn

from tests.training.onnx_files import model, read, saved
from training import onnx_input
from training.errors import BadInputError

RNG = np.random.default_rng(0)
RELU = helper.make_node("Relu", ["x"], ["y"])


def f(*shape: int) -> np.ndarray:
    """Random weights."""
    return RNG.normal(size=shape).astype(np.float32)


def refusal(made: onnx.ModelProto, folder: Path, size: int | tuple[int, int] | None = None) -> str:
    """The sentence by which a file is refused."""
    with pytest.raises(BadInputError) as caught:
        read(made, folder, size)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_sizes_are_taken_from_the_file_or_asked_for(tmp_path: Path) -> None:
    free = model([RELU], {}, shape=(1, 3, None, 32))
    assert "leaves the size of its image free (?x32); say it with `input_size` HxW" in refusal(free, tmp_path)
    assert onnx_input.read(saved(free, tmp_path), (16, 32))[1] == (16, 32)
    assert "takes images of ?x32" in refusal(free, tmp_path, 16)
    fixed = model([RELU], {}, shape=(1, 3, 32, 32))
    assert onnx_input.read(saved(fixed, tmp_path))[1] == 32
    assert "takes images of 32x32 (height x width), not of 64x48" in refusal(fixed, tmp_path, (64, 48))
    assert "is none" in refusal(free, tmp_path, 0)


def _with_two_inputs() -> onnx.ModelProto:
    made = model([helper.make_node("Add", ["x", "z"], ["y"])], {})
    made.graph.input.append(helper.make_tensor_value_info("z", TensorProto.FLOAT, [1, 3, 24, 24]))
    return made


def _of_type(kind: int) -> onnx.ModelProto:
    made = model([RELU], {})
    made.graph.input[0].type.tensor_type.elem_type = kind
    return made


def _looping() -> onnx.ModelProto:
    body = helper.make_graph(
        [helper.make_node("Identity", ["c"], ["d"]), helper.make_node("Relu", ["v"], ["o"])],
        "b",
        [
            helper.make_tensor_value_info("n", TensorProto.INT64, []),
            helper.make_tensor_value_info("c", TensorProto.BOOL, []),
            helper.make_tensor_value_info("v", TensorProto.FLOAT, None),
        ],
        [
            helper.make_tensor_value_info("d", TensorProto.BOOL, []),
            helper.make_tensor_value_info("o", TensorProto.FLOAT, None),
        ],
    )
    return model([helper.make_node("Loop", ["k", "", "x"], ["y"], body=body)], {"k": np.int64(2)})


REFUSED = {
    "two inputs": (_with_two_inputs(), "has the inputs 'x' (?x3x24x24), 'z' (1x3x24x24)"),
    "a row": (model([RELU], {}, shape=("n", 3)), "expected one input, an image"),
    "no input": (model([RELU], {"x": f(1, 3, 4, 4)}), "has the inputs none"),
    "channels last": (
        model([helper.make_node("Transpose", ["x"], ["y"], perm=[0, 3, 1, 2])], {}, shape=("n", 64, 48, 3)),
        "the input 'x' (?x64x48x3) of",
    ),
    "free channels": (model([RELU], {}, shape=(1, None, 4, 4)), "leaves its channels free"),
    "half precision": (_of_type(TensorProto.FLOAT16), "takes numbers of the type float16; expected float"),
    "foreign": (
        model([helper.make_node("Foo", ["x"], ["y"], domain="my.ops", name="odd")], {}),
        "operation Foo (node 'odd') is of the domain 'my.ops'",
    ),
    "unknown": (
        model([helper.make_node("NonMaxSuppression", ["x", "x"], ["y"], name="boxes")], {}),
        "cannot be read: operation NonMaxSuppression (node 'boxes'): is not supported",
    ),
    "quantised": (
        model([helper.make_node("QuantizeLinear", ["x", "s"], ["y"])], {"s": np.float32(0.1)}),
        "operation QuantizeLinear (node 'y'): the network is quantised",
    ),
    "loop": (_looping(), "operation Loop (node 'y'): networks with loops are not supported"),
    "missing tensor": (model([helper.make_node("Add", ["x", "z"], ["y"])], {}), "its input 'z'"),
    "missing output": (model([RELU], {}, outputs=["nothing"]), "its output 'nothing' is computed by no node"),
    "weights from the image": (
        model([helper.make_node("Conv", ["x", "x"], ["y"])], {}),
        "operation Conv (node 'y'): its weights are computed from the image",
    ),
    "wrong shapes": (
        model([helper.make_node("Conv", ["x", "w"], ["y"])], {"w": f(4, 5, 3, 3)}),
        "operation Conv (node 'y'): torch says",
    ),
    "no image first": (
        model([helper.make_node("Transpose", ["x"], ["y"], perm=[1, 0, 2, 3])], {}),
        "output 'y' has the shape 3x1x24x24 for 1 images",
    ),
    "an output of weights": (model([helper.make_node("Relu", ["w"], ["y"])], {"w": f(3)}), "does not depend"),
    "an old opset": (model([RELU], {}, opset=6), "is written with opset 6; expected 7 or newer"),
    "coordinates": (
        model(
            [
                helper.make_node(
                    "Resize",
                    ["x", "", "s"],
                    ["y"],
                    mode="linear",
                    coordinate_transformation_mode="asymmetric",
                )
            ],
            {"s": np.array([1, 1, 2, 2], np.float32)},
        ),
        "torch has no linear interpolation with the coordinates 'asymmetric'",
    ),
    "all images in one row": (model([helper.make_node("Flatten", ["x"], ["y"], axis=0)], {}), "into one row"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_cannot_be_read_is_refused_in_one_sentence(kind: str, tmp_path: Path) -> None:
    made, sentence = REFUSED[kind]
    assert sentence in refusal(made, tmp_path)


def test_broken_files_are_refused_in_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    whole = model([helper.make_node("Conv", ["x", "w"], ["y"])], {"w": f(4, 3, 3, 3)}).SerializeToString()
    for content in (b"not a network", b"", b"\x00" * 64, whole[: len(whole) // 2], whole[::-1]):
        path.write_bytes(content)
        with pytest.raises(BadInputError) as caught:
            onnx_input.read(str(path))
        assert "\n" not in str(caught.value)
    odd = model([helper.make_node("Conv", ["x", "w"], ["y"])], {"w": f(4, 3, 3, 3)})
    odd.graph.initializer[0].data_type = 89
    for content in (odd.SerializeToString(), whole.replace(b"\x01x", b"\x01\xff")):
        path.write_bytes(content)
        with pytest.raises(BadInputError, match="damaged"):
            onnx_input.read(str(path))
    for missing in (tmp_path, tmp_path / "nowhere.onnx"):
        with pytest.raises(BadInputError, match="is no ONNX model"):
            onnx_input.read(str(missing))


def test_weights_that_are_kept_elsewhere_are_missed_by_name(tmp_path: Path) -> None:
    made = model([helper.make_node("Conv", ["x", "w"], ["y"])], {"w": f(4, 3, 3, 3)})
    path = tmp_path / "m.onnx"
    onnx.save_model(made, path, save_as_external_data=True, location="w.bin", size_threshold=0)
    assert onnx_input.read(str(path))[1] == 24
    (tmp_path / "w.bin").unlink()
    with pytest.raises(BadInputError, match=r"keeps its weights in another file.*w\.bin"):
        onnx_input.read(str(path))


def test_an_answer_other_than_onnxruntimes_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nn.Tanh, "forward", lambda self, x: torch.sin(x))
    made = model([helper.make_node("Tanh", ["x"], ["y"])], {})
    assert "its output 'y' for 3 image(s) at once has an error of" in refusal(made, tmp_path)
