"""A plan as text: the kernels that it takes away, and those that take their place."""

from collections.abc import Callable, Sequence
from difflib import SequenceMatcher
from itertools import groupby
from typing import Any

from rich.table import Table

from latency_models.kernel import Kernel, Layer
from search.results.network_tables import layers_answer
from search.results.planfile import PlanFile
from search.scoring.latency import Latencies

_Sum = Callable[[Sequence[Layer]], float]  # milliseconds


def in_words(kernel: Kernel) -> str:
    """A kernel in a few words, such as ``conv 3x3/2 64 -> 192``."""
    if kernel.op == "linear":
        return f"linear {kernel.in_shape[0]} -> {kernel.out_shape[0]}"
    stride = f"/{kernel.stride[0]}" if kernel.stride != (1, 1) else ""
    window = f" {kernel.window[0]}x{kernel.window[1]}{stride}"
    if kernel.op == "conv":
        return f"conv{window} {kernel.in_shape[0]} -> {kernel.out_shape[0]}"
    return f"{kernel.op}{window}" if kernel.op.endswith("pool") else kernel.op


def _add_pairs(table: Table, same: bool, pairs: Sequence[tuple[Layer, Layer]], ms: _Sum) -> None:
    """Rows of layers that are in both networks: those that are the same in one, others side by side."""
    if same:
        time = f"{ms([layer for layer, _ in pairs]):.2f}"
        table.add_row(f"... {len(pairs)} as before", "", time, time, style="dim")
        return
    for old, new in pairs:
        words = list(dict.fromkeys((in_words(old.kernel), in_words(new.kernel))))
        table.add_row(old.name, " => ".join(words), f"{ms([old]):.2f}", f"{ms([new]):.2f}", style="bold")


def plan_answer(latencies: Latencies, plan: PlanFile) -> dict[str, Any]:
    """The ``--json`` form: the plan, and the kernels of the network before and after."""
    networks = {"before": latencies.by_layer(None), "after": latencies.by_layer(plan.choices)}
    kernels = {when: layers_answer(plan.network, plan.target, rows) for when, rows in networks.items()}
    return {"plan": plan.model_dump(mode="json"), **kernels}


def plan_view(latencies: Latencies, plan: PlanFile) -> Table:
    """The network before and after, in order; what stays as it is takes one line."""
    before, after = latencies.layers(None), latencies.layers(plan.choices)
    table = Table(title=f"{plan.network} on {plan.target}: kernels before and after")
    for heading in ("layer", "kernel", "before ms", "after ms"):
        table.add_column(heading, justify="right" if heading.endswith("ms") else "left", overflow="fold")

    def ms(layers: Sequence[Layer]) -> float:
        return sum(latencies.latency(layer.kernel).us for layer in layers) / 1000

    first, second = ([layer.name for layer in layers] for layers in (before, after))
    for what, i, j, k, m in SequenceMatcher(None, first, second, autojunk=False).get_opcodes():
        if what == "equal":
            pairs = zip(before[i:j], after[k:m], strict=True)
            for same, group in groupby(pairs, key=lambda pair: pair[0].kernel == pair[1].kernel):
                _add_pairs(table, same, list(group), ms)
            continue
        for layer in before[i:j]:
            table.add_row(layer.name, in_words(layer.kernel), f"{ms([layer]):.2f}", "")
        for layer in after[k:m]:
            table.add_row(layer.name, in_words(layer.kernel), "", f"{ms([layer]):.2f}", style="bold")
    table.add_section()
    table.add_row("all", f"{plan.speedup:.2f}x", f"{ms(before):.2f}", f"{ms(after):.2f}")
    return table
