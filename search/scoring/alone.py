"""An operation as it stands in its network, or all of them, written as an ONNX model to be timed."""

import logging
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, fx, nn

from latency_models.kernel import Kernel
from merges.graph import without_weights
from merges.network import Network
from training.export import to_onnx

_OPSET = 18  # as training.export writes whole networks
_WEIGHT = 0.01


def details_of(graph_module: fx.GraphModule, node: fx.Node) -> str:
    """Everything but weights that decides what a node does: its layer or function, arguments and shapes."""
    shapes = {source: "x".join(map(str, source.meta["shape"])) for source in node.all_input_nodes}
    arguments = fx.map_arg((node.args, node.kwargs), lambda source: _Written(shapes[source]))
    what = node.target
    if node.op == "call_module":
        what = " ".join(repr(graph_module.get_submodule(str(node.target))).split())
    return f"{getattr(what, '__name__', what)} {arguments}"


class _Written(str):
    """A shape in the place of a node: written without quotes."""

    def __repr__(self) -> str:
        return str(self)


def model_of(graph_module: fx.GraphModule, node: fx.Node) -> Callable[[], bytes]:
    """What makes the ONNX model of one node, with weights that mean nothing, when it is needed."""
    layer = graph_module.get_submodule(str(node.target)) if node.op == "call_module" else None
    shapes = {source: tuple(source.meta["shape"]) for source in node.all_input_nodes}
    fixed = {source for source in node.all_input_nodes if source.op == "get_attr"}

    def made() -> bytes:
        root, graph = nn.Module(), fx.Graph()
        places: dict[fx.Node, fx.Node] = {}
        images: list[Tensor] = []
        for number, (source, shape) in enumerate(shapes.items()):
            if source in fixed:
                root.register_buffer(f"c{number}", torch.full(shape, _WEIGHT))
                places[source] = graph.get_attr(f"c{number}")
            else:
                images.append(torch.full(shape, 0.5))
                places[source] = graph.placeholder(f"x{number}")
        arguments: Any = fx.map_arg((node.args, node.kwargs), places.__getitem__)
        if layer is None:
            graph.output(graph.create_node("call_function", node.target, *arguments))
        else:
            root.add_module("layer", _with_weights(layer))
            graph.output(graph.call_module("layer", *arguments))
        return _exported(fx.GraphModule(root, graph).eval(), images)

    return made


def all_together(network: Network) -> Kernel:
    """A network as one kernel, to be timed in one piece."""

    def made() -> bytes:
        with tempfile.TemporaryDirectory(prefix="network-") as folder:
            path = Path(folder, "network.onnx")
            to_onnx(network.teacher, network.input_shape, path)
            return path.read_bytes()

    shape = network.input_shape
    return Kernel("network", shape, shape, details=network.fingerprint, model=made)


def _with_weights(layer: nn.Module) -> nn.Module:
    """A copy with weights on the CPU: a network's outlines have none."""
    copied = without_weights(layer).to_empty(device="cpu")
    for tensor in (*copied.parameters(), *copied.buffers()):
        tensor.data.fill_(_WEIGHT)
    return copied


def _exported(module: fx.GraphModule, images: list[Tensor]) -> bytes:
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        program = torch.onnx.export(
            module, tuple(images), dynamo=True, opset_version=_OPSET, external_data=False, verbose=False
        )
    assert program is not None
    return bytes(program.model_proto.SerializeToString())
