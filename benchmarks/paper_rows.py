"""The paper's plans on arm-a57, step by step, its figures beside ours (seconds).

python benchmarks/paper_rows.py

The paper measured on a Galaxy S6 (Cortex-A57, Caffe). Its ResNet-50 runs every norm and scale as a layer; our
baseline has them folded, which a deployer gets for free, so that its speed-ups are larger than ours.
Memory is what Caffe holds at once for one image: every map but those of activations and dropouts, which are
made in place.
"""

import math
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from search.scoring.device import Device  # noqa: E402
from search.scoring.latency import Latencies  # noqa: E402
from search.space import presets  # noqa: E402
from training.workbench import structure  # noqa: E402

_PAPER = {
    ("paper", "bvlc_googlenet", "inception_5b"): "3.94x",
    ("paper", "bvlc_alexnet", "conv1"): "1.29x",
    ("paper", "bvlc_alexnet", "conv2"): "1.63x",
    ("paper", "resnet50", "conv1"): "1.17x",
    ("paper", "resnet50", "res2a branch"): "1.35x",
    ("paper", "resnet50", "res2a"): "1.82x",
    ("paper-tucker", "bvlc_googlenet", "Tucker"): "6.1-6.5x",
}
_PAPER_MEMORY = {("paper", "bvlc_googlenet"): "2.5x", ("paper", "resnet50"): "2.21x"}
_IN_PLACE = ("relu", "dropout")


def caffe_bytes(latencies: Latencies, choices: Mapping[str, str]) -> int:
    """Maps that Caffe holds: it gives every layer memory of its own, but for layers that work in place."""
    kept = (layer.kernel for layer in latencies.layers(choices) if layer.kernel.op not in _IN_PLACE)
    return 4 * sum(math.prod(kernel.out_shape) for kernel in kept)


def speeds(device: Device) -> Table:
    table = Table(title="plans of the paper on arm-a57, steps added up")
    for heading in (
        "preset",
        "network",
        "step",
        "latency ms",
        "of it saved ms",
        "speed-up",
        "paper",
        "maps",
        "paper's",
    ):
        table.add_column(heading, justify="left" if heading in ("preset", "network", "step") else "right")
    for name, model in presets.known():
        latencies = Latencies(structure(model, low_rank=True), device)
        untouched = latencies.score({})
        before_ms, held = untouched.latency_ms, caffe_bytes(latencies, {})
        table.add_row(
            name, model, "untouched", f"{before_ms:.1f}", "", "1.00x", "", f"{held / 1e6:.1f} MB", ""
        )
        for number, step in enumerate(presets.steps(name, model), 1):
            choices = presets.preset(f"{name}:{number}", latencies.network)
            score = latencies.score(choices)
            last = number == len(presets.steps(name, model))
            table.add_row(
                "",
                "",
                step["step"],
                f"{score.latency_ms:.1f}",
                f"{before_ms - score.latency_ms:.1f}",
                f"{score.speedup:.2f}x",
                _PAPER.get((name, model, step["step"]), ""),
                f"{held / caffe_bytes(latencies, choices):.2f}x",
                _PAPER_MEMORY.get((name, model), "") if last else "",
                end_section=last,
            )
            before_ms = score.latency_ms
    return table


def main() -> None:
    with tempfile.TemporaryDirectory() as home:
        Console(width=140).print(speeds(Device.named("arm-a57", Path(home))))


if __name__ == "__main__":
    main()
