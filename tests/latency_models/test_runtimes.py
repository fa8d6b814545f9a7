"""One contract for every discovered runtime; what can be run here is checked against what runs."""

import numpy as np
import onnx
import onnxruntime
import pytest

from latency_models import measure, runtime
from latency_models.kernel import Kernel, Layer
from latency_models.runtimes.onnxruntime import one_kernel_model
from merges.network import analyse
from search.lower import lower
from tests.conftest import BUILDERS
from training.export import to_onnx

RUNTIMES = runtime.discover()
KERNELS = [
    Kernel("conv", (3, 12, 12), (8, 6, 6), (3, 3), (2, 2), (1, 1), activation="relu"),
    Kernel("conv", (4, 12, 12), (8, 12, 12), (3, 3), (1, 1), (1, 1), groups=2),
    Kernel("linear", (32, 1, 1), (10, 1, 1)),
    Kernel("maxpool", (4, 11, 11), (4, 6, 6), (3, 3), (2, 2), (1, 1)),
    Kernel("maxpool", (4, 12, 12), (4, 6, 6), (3, 3), (2, 2), (0, 0)),
    Kernel("avgpool", (4, 7, 7), (4, 1, 1), (7, 7)),
    Kernel("avgpool", (4, 8, 8), (4, 4, 4), (2, 2), (2, 2)),
    Kernel("lrn", (8, 6, 6), (8, 6, 6), (5, 1)),
    Kernel("relu", (8, 6, 6), (8, 6, 6)),
    Kernel("add", (8, 6, 6), (8, 6, 6)),
    Kernel("concat", (8, 6, 6), (8, 6, 6), parts=(3, 5)),
]
CHAIN = [
    Layer("conv", Kernel("conv", (3, 8, 8), (4, 8, 8), (3, 3), (1, 1), (1, 1)), ("x",)),
    Layer("relu", Kernel("relu", (4, 8, 8), (4, 8, 8)), ("conv",)),
    Layer("flat", Kernel("flatten", (4, 8, 8), (256, 1, 1)), ("relu",)),
    Layer("fc", Kernel("linear", (256, 1, 1), (10, 1, 1)), ("flat",)),
]


@pytest.mark.parametrize("name", sorted(RUNTIMES))
def test_fusing_keeps_the_work_and_adds_nothing(name: str) -> None:
    fused = RUNTIMES[name].fuse(CHAIN)
    assert [layer.name for layer in fused if layer.kernel.macs] == ["conv", "fc"]
    assert {layer.name for layer in fused} <= {layer.name for layer in CHAIN}
    assert sum(layer.kernel.macs for layer in fused) == sum(layer.kernel.macs for layer in CHAIN)


@pytest.mark.parametrize("name", sorted(RUNTIMES))
def test_a_runtime_runs_here_or_says_that_it_does_not(name: str) -> None:
    rt = RUNTIMES[name]
    assert rt.version()
    run = rt.prepare(KERNELS[0], threads=1)
    if run is None:
        with pytest.raises(measure.NotMeasurableError, match="cannot be run"):
            measure.measure(rt, 1, KERNELS[:1])
    else:
        run()


def test_an_activation_read_twice_is_still_fused_but_a_shared_convolution_is_not() -> None:
    relu = Kernel("relu", (4, 8, 8), (4, 8, 8))
    layers = [*CHAIN[:1], Layer("a", relu, ("conv",)), Layer("b", relu, ("conv",))]
    assert [layer.name for layer in RUNTIMES["onnxruntime"].fuse(layers)] == ["conv", "a", "b"]
    layers = [
        *CHAIN[:2],
        Layer("a", relu, ("relu",)),
        Layer("sum", Kernel("add", *[(4, 8, 8)] * 2), ("relu", "a")),
    ]
    assert [layer.name for layer in RUNTIMES["onnxruntime"].fuse(layers)] == ["conv", "a", "sum"]


@pytest.mark.parametrize("kernel", KERNELS, ids=lambda k: k.key)
def test_one_kernel_models_have_the_kernels_shapes(kernel: Kernel) -> None:
    session = onnxruntime.InferenceSession(
        one_kernel_model(kernel).SerializeToString(), providers=["CPUExecutionProvider"]
    )
    feeds = {i.name: np.zeros(i.shape, np.float32) for i in session.get_inputs()}
    made = session.run(None, feeds)[0].shape
    assert (*made[1:], 1, 1)[:3] == kernel.out_shape


def test_unknown_operations_cannot_be_measured() -> None:
    with pytest.raises(measure.NotMeasurableError, match="hardswish"):
        measure.measure(RUNTIMES["onnxruntime"], 1, [Kernel("hardswish", (3, 4, 4), (3, 4, 4))])


def test_every_kernel_is_measured_once_with_its_spread() -> None:
    seen: list[tuple[int, int]] = []
    rows = measure.measure(
        RUNTIMES["onnxruntime"], 1, KERNELS, lambda done, total: seen.append((done, total))
    )
    assert [row.kernel for row in rows] == KERNELS
    assert all(row.median_us > 0 and row.spread_us >= 0 and row.repeats >= 7 for row in rows)
    assert seen[-1][0] == seen[-1][1]


@pytest.mark.parametrize("name", sorted(BUILDERS))
def test_lowered_kernels_are_those_that_onnxruntime_keeps(name: str, tmp_path) -> None:  # type: ignore[no-untyped-def]
    """Counts by operation in the runtime's own optimised graph (before its layout changes)."""
    network = analyse(name, BUILDERS[name](), (3, 24, 24))
    to_onnx(network.teacher, network.input_shape, tmp_path / "m.onnx")
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
    onnxruntime.InferenceSession(str(tmp_path / "m.onnx"), options, providers=["CPUExecutionProvider"])
    kept = [node.op_type for node in onnx.load(tmp_path / "optimised.onnx").graph.node]
    ours = [layer.kernel for layer in RUNTIMES["onnxruntime"].fuse(lower(network.teacher))]
    assert sum(k.op == "conv" for k in ours) == sum(op in ("Conv", "FusedConv") for op in kept)
    assert sum(bool(k.activation) for k in ours) == kept.count("FusedConv")
    assert sum(k.op == "relu" for k in ours) == kept.count("Relu")
    for op, theirs in {"maxpool": "MaxPool", "lrn": "LRN", "concat": "Concat", "linear": "Gemm"}.items():
        assert sum(k.op == op for k in ours) == kept.count(theirs)
