"""A plan as text: the kernels that it takes away, and those that take their place."""

from collections.abc import Sequence
from difflib import SequenceMatcher

from rich.table import Table

from latency_models.kernel import Kernel, Layer
from search.results.planfile import PlanFile
from search.scoring.latency import Latencies


def in_words(kernel: Kernel) -> str:
    """A kernel in a few words, such as ``conv 3x3/2 64 -> 192``."""
    if kernel.op == "linear":
        return f"linear {kernel.in_shape[0]} -> {kernel.out_shape[0]}"
    stride = f"/{kernel.stride[0]}" if kernel.stride != (1, 1) else ""
    window = f" {kernel.window[0]}x{kernel.window[1]}{stride}"
    if kernel.op == "conv":
        return f"conv{window} {kernel.in_shape[0]} -> {kernel.out_shape[0]}"
    return f"{kernel.op}{window}" if kernel.op.endswith("pool") else kernel.op


def plan_view(latencies: Latencies, plan: PlanFile) -> Table:
    """The network before and after, in order; what stays as it is takes one line."""
    before, after = latencies.layers(None), latencies.layers(plan.choices)
    table = Table(title=f"{plan.network} on {plan.target}: kernels before and after")
    for heading in ("layer", "kernel", "before ms", "after ms"):
        table.add_column(heading, justify="right" if heading.endswith("ms") else "left", overflow="fold")

    def ms(layers: Sequence[Layer]) -> float:
        return sum(latencies.latency(layer.kernel).us for layer in layers) / 1000

    def key(layer: Layer) -> tuple[str, Kernel]:
        return layer.name, layer.kernel

    matcher = SequenceMatcher(None, list(map(key, before)), list(map(key, after)), autojunk=False)
    for what, i, j, k, m in matcher.get_opcodes():
        if what == "equal":
            same = f"{ms(before[i:j]):.2f}"
            table.add_row(f"... {j - i} as before", "", same, same, style="dim")
            continue
        for layer in before[i:j]:
            table.add_row(layer.name, in_words(layer.kernel), f"{ms([layer]):.2f}", "")
        for layer in after[k:m]:
            table.add_row(layer.name, in_words(layer.kernel), "", f"{ms([layer]):.2f}", style="bold")
    table.add_section()
    table.add_row("all", f"{plan.speedup:.2f}x", f"{ms(before):.2f}", f"{ms(after):.2f}")
    return table
