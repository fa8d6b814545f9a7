"""ONNX files as people have them: what is read, under which names, and what is refused, in which words."""

import io
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchvision
from onnx import TensorProto, helper
from torch import nn

from merges.network import analyse
from tests.training import onnx_files
from tests.training.onnx_files import model, read, saved
from training import onnx_input

RNG = np.random.default_rng(0)
RELU = helper.make_node("Relu", ["x"], ["y"])


def f(*shape: int) -> np.ndarray:
    """Random weights."""
    return RNG.normal(size=shape).astype(np.float32)


def lively(network: nn.Module) -> nn.Module:
    """With norms that have seen images: the numbers do not fade away, and an error shows."""
    for norm in (m for m in network.modules() if isinstance(m, nn.BatchNorm2d)):
        norm.momentum = 1.0
    with torch.no_grad():
        network.train()(torch.randn(4, 3, 64, 64))
    return network.eval()


class Shuffled(nn.Module):
    """Shuffles channels, weighs them by their means, and flattens by the number of images."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), nn.Hardswish())
        self.gate, self.head = nn.Conv2d(8, 8, 1), nn.Linear(8, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        n, c, h, w = x.shape
        x = x.view(n, 2, c // 2, h, w).transpose(1, 2).reshape(n, c, h, w)
        x = x * self.gate(x.mean((2, 3), keepdim=True)).sigmoid()
        answers: torch.Tensor = self.head(nn.functional.adaptive_avg_pool2d(x, 1).view(n, -1))
        return answers


def torchvision_network(name: str) -> nn.Module:
    torch.manual_seed(0)
    options = {"aux_logits": False, "init_weights": False} if name == "googlenet" else {}
    return lively(torchvision.models.get_model(name, weights=None, num_classes=7, **options))


def exported(network: nn.Module, path: Path, opset: int, **options: Any) -> str:
    """A file as PyTorch's exporters write it."""
    held = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        image = torch.zeros(2, 3, 64, 64)
        torch.onnx.export(network, (image,), held, opset_version=opset, input_names=["x"], **options)
    path.write_bytes(held.getvalue())
    return str(path)


@pytest.mark.parametrize(
    ("name", "opset", "free"),
    [
        ("squeezenet1_1", 13, True),
        ("mobilenet_v3_small", 9, False),
        ("mobilenet_v3_small", 17, True),
        ("resnet18", 9, True),
        ("googlenet", 13, True),
        ("shufflenet_v2_x0_5", 16, False),
        ("efficientnet_b0", 17, True),
    ],
)
def test_networks_of_the_old_exporter_answer_as_before(
    name: str, opset: int, free: bool, tmp_path: Path
) -> None:
    axes = {"x": {0: "n", 2: "h", 3: "w"}} if free else None
    network = torchvision_network(name)
    path = exported(network, tmp_path / "m.onnx", opset, dynamo=False, dynamic_axes=axes)
    loaded, size = onnx_input.read(path, 64 if free else None)
    assert size == 64
    assert loaded.input_shape == (3, 64, 64)
    assert loaded.free == (frozenset({"batch", "height", "width"}) if free else frozenset())
    with torch.no_grad():
        for batch, side in ((1, 64), (3, 96 if free else 64)):
            images = torch.randn(batch, 3, side, side)
            wanted = network(images)
            assert (loaded(images) - wanted).abs().max() < 1e-4 * wanted.abs().max()


@pytest.mark.parametrize(("opset", "free"), [(18, False), (20, True)])
@pytest.mark.parametrize("order", [torch.contiguous_format, torch.channels_last])
def test_networks_of_the_new_exporter_keep_their_layers_names(
    opset: int, free: bool, order: torch.memory_format, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    network = lively(Shuffled()).to(memory_format=order)  # type: ignore[call-overload]
    options = {"dynamic_shapes": ({0: "n"},)} if free else {}
    path = exported(network, tmp_path / "m.onnx", opset, dynamo=True, verbose=False, **options)
    loaded, _ = onnx_input.read(path)
    layers = {name for name, module in loaded.named_modules() if isinstance(module, nn.Conv2d)}
    assert layers == {name for name, module in network.named_modules() if isinstance(module, nn.Conv2d)}
    assert onnx_files.worst_error(loaded, path, (2, 3, 64, 64)) < 1e-4
    assert onnx_files.worst_error(network, path, (2, 3, 64, 64)) < 1e-4
    with torch.no_grad():
        again = torch.export.export(
            loaded,
            (torch.zeros(2, 3, 64, 64),),
            dynamic_shapes=({0: torch.export.Dim.DYNAMIC},),
            strict=False,
        ).module()
        images = torch.randn(3, 3, 64, 64)
        assert torch.allclose(again(images), loaded(images), atol=1e-5)


class Next(nn.Module):
    """A ConvNeXt block: its norm and its activation are arithmetic in files of old opsets."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.norm = nn.Conv2d(3, 8, 4, 4), nn.LayerNorm(8)
        self.wide, self.act, self.back, self.head = (
            nn.Linear(8, 16),
            nn.GELU(),
            nn.Linear(16, 8),
            nn.Linear(8, 5),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        x = x + self.back(self.act(self.wide(self.norm(x.permute(0, 2, 3, 1))))).permute(0, 3, 1, 2)
        answers: torch.Tensor = self.head(x.mean((2, 3)))
        return answers


@pytest.mark.parametrize("opset", [13, 17])
def test_norms_and_activations_that_a_file_writes_out_are_layers_again(opset: int, tmp_path: Path) -> None:
    loaded, _ = onnx_input.read(exported(Next().eval(), tmp_path / "m.onnx", opset, dynamo=False))
    read_again = analyse("m", loaded, (3, 64, 64))
    assert {type(layer) for layer in read_again.teacher.modules()} >= {nn.GELU, nn.LayerNorm}
    assert {site.rule for site in read_again.sites} >= {"norm", "activation"}


def test_layers_are_those_of_torch(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Conv", ["x", "w", "b"], ["c"], name="/stem/stem.0/Conv"),
        helper.make_node("Clip", ["c", "low", "high"], ["r"], name="/stem/stem.1/Clip"),
        helper.make_node("GlobalAveragePool", ["r"], ["g"], name=""),
        helper.make_node("Flatten", ["g"], ["f"], name="forward"),
        helper.make_node("Gemm", ["f", "head.weight", "hb"], ["y"], transB=1),
    ]
    weights = {"w": f(4, 3, 3, 3), "b": f(4), "low": np.float32(0), "high": np.float32(6)}
    loaded = read(model(nodes, weights | {"head.weight": f(5, 4), "hb": f(5)}), tmp_path)
    kinds = {name: type(m) for name, m in loaded.named_modules() if name and not list(m.children())}
    assert kinds == {
        "stem.0.Conv": nn.Conv2d,
        "stem.1.Clip": nn.ReLU6,
        "g": nn.AdaptiveAvgPool2d,
        "forward_": nn.Flatten,
        "head": nn.Linear,
    }


def test_names_that_clash_are_told_apart(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Relu", ["x"], ["a"], name="/block/Relu"),
        helper.make_node("Sigmoid", ["a"], ["b"], name="/block"),
        helper.make_node("Tanh", ["b"], ["c"], name="block"),
        helper.make_node("Relu", ["c"], ["d"], name="/block/Relu/again"),
        helper.make_node("Relu", ["d"], ["y"], name="1 & 2"),
    ]
    loaded = read(model(nodes, {}), tmp_path)
    assert len([m for m in loaded.modules() if not list(m.children())]) == 5
    assert onnx_files.worst_error(loaded, tmp_path / "m.onnx", (2, 3, 24, 24)) < 1e-4


def test_a_weight_that_two_layers_share_is_saved_twice(tmp_path: Path) -> None:
    nodes = [helper.make_node("Conv", ["x", "w"], ["a"]), helper.make_node("Conv", ["a", "w"], ["y"])]
    loaded = read(model(nodes, {"w": f(3, 3, 1, 1)}), tmp_path)
    assert len({p.data_ptr() for p in loaded.parameters()}) == 2


def test_reading_draws_no_random_numbers(tmp_path: Path) -> None:
    path = saved(model([helper.make_node("Conv", ["x", "w"], ["y"])], {"w": f(3, 3, 1, 1)}), tmp_path)
    before = torch.random.get_rng_state()
    onnx_input.read(path)
    assert torch.equal(before, torch.random.get_rng_state())


def test_several_outputs_come_in_their_order(tmp_path: Path) -> None:
    nodes = [helper.make_node("Relu", ["x"], ["a"]), helper.make_node("Tanh", ["a"], ["b"])]
    loaded = read(model(nodes, {}, outputs=["b", "a"]), tmp_path)
    assert onnx_files.worst_error(loaded, tmp_path / "m.onnx", (3, 3, 24, 24)) < 1e-4


def test_attention_over_all_places_works_at_every_size(tmp_path: Path) -> None:
    """Shapes computed from shapes, as exporters write them, stay free in the network."""
    nodes = [
        helper.make_node("Shape", ["x"], ["s"]),
        helper.make_node("Slice", ["s", "i0", "i1"], ["n"]),
        helper.make_node("Concat", ["n", "heads"], ["t"], axis=0),
        helper.make_node("Reshape", ["x", "t"], ["q"]),  # n, 2, 3, h * w
        helper.make_node("Transpose", ["q"], ["k"], perm=[0, 1, 3, 2]),
        helper.make_node("MatMul", ["k", "q"], ["l"]),
        helper.make_node("Softmax", ["l"], ["p"], axis=-1),
        helper.make_node("MatMul", ["q", "p"], ["o"]),
        helper.make_node("Reshape", ["o", "s"], ["y"]),
    ]
    weights = {"i0": np.array([0]), "i1": np.array([1]), "heads": np.array([2, 3, -1])}
    loaded = read(model(nodes, weights, shape=("n", 6, "h", "w")), tmp_path, (8, 6))
    assert loaded.free == {"batch", "height", "width"}
    for shape in ((1, 6, 8, 6), (3, 6, 5, 7)):
        assert onnx_files.worst_error(loaded, tmp_path / "m.onnx", shape) < 1e-4


def test_an_image_enlarged_to_another_of_odd_size_fits(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("MaxPool", ["x"], ["a"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Shape", ["x"], ["s"]),
        helper.make_node("Resize", ["a", "", "", "s"], ["b"], mode="linear"),
        helper.make_node("Add", ["b", "x"], ["y"]),
    ]
    loaded = read(model(nodes, {}, shape=(None, 3, None, None)), tmp_path, (24, 16))
    for shape in ((1, 3, 24, 16), (2, 3, 25, 17)):
        assert onnx_files.worst_error(loaded, tmp_path / "m.onnx", shape) < 1e-4


def test_a_size_that_the_network_needs_is_not_said_to_be_free(tmp_path: Path) -> None:
    nodes = [helper.make_node("Flatten", ["x"], ["a"]), helper.make_node("Gemm", ["a", "w"], ["y"])]
    made = model(nodes, {"w": f(192, 5)}, shape=("n", 3, "h", "w"))
    loaded = read(made, tmp_path, 8)
    assert loaded.free == {"batch"}


def test_weights_among_the_inputs_of_old_files_are_no_inputs(tmp_path: Path) -> None:
    made = model([helper.make_node("Conv", ["x", "w"], ["y"])], {"w": f(4, 3, 1, 1)}, opset=9)
    made.graph.input.append(helper.make_tensor_value_info("w", TensorProto.FLOAT, [4, 3, 1, 1]))
    assert onnx_files.worst_error(read(made, tmp_path), tmp_path / "m.onnx", (1, 3, 24, 24)) < 1e-4


def test_files_for_eight_images_at_once_are_read_for_any_number(tmp_path: Path) -> None:
    nodes = [helper.make_node("Reshape", ["x", "t"], ["a"]), helper.make_node("MatMul", ["a", "w"], ["y"])]
    loaded = read(model(nodes, {"t": np.array([8, -1]), "w": f(48, 5)}, shape=(8, 3, 4, 4)), tmp_path)
    assert loaded.free == frozenset()
    images = torch.randn(8, 3, 4, 4)
    wanted = onnx_files.session(tmp_path / "m.onnx").run(None, {"x": images.numpy()})[0]
    assert np.allclose(loaded(images[:3]).detach().numpy(), wanted[:3], atol=1e-4)
