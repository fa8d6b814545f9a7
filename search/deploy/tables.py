"""Tables of trained and exported networks."""

from rich.table import Table

from search.deploy.export import Exported
from search.deploy.train import Trained
from training.metrics import Accuracy

_LOSERS = 5


def trained_table(trained: Trained) -> Table:
    """Test accuracy of teacher and merged network, and the classes that lose most."""
    where = "the evaluation images that also chose the plan" if trained.test_is_proxy else "the test split"
    table = Table(
        title=f"accuracy on {where} ({trained.merged.images} images)", caption="in brackets: 95 % confidence"
    )
    for heading in ("network", "top-1 %", "top-5 %"):
        table.add_column(heading, justify="left" if heading == "network" else "right")
    for name, reached in (("teacher", trained.teacher), ("merged", trained.merged)):
        table.add_row(name, *(_with_interval(reached, share) for share in (reached.top1, reached.top5)))
    table.add_row("same answer", f"{trained.agreement:.2f}", "", end_section=True)
    losers = sorted(trained.classes.items(), key=lambda item: item[1][2] - item[1][1])
    for name, (count, teacher, merged) in losers[:_LOSERS]:
        if merged < teacher:
            table.add_row(f"{name} ({count} images)", f"{teacher:.1f} -> {merged:.1f}", "", style="dim")
    return table


def _with_interval(reached: Accuracy, percent: float) -> str:
    low, high = reached.interval(percent)
    return f"{percent:.2f} ({low:.1f} - {high:.1f})"


def exported_table(exported: Exported) -> Table:
    """Agreement and side-by-side latency of an export."""
    table = Table(title=f"{exported.onnx}: checked on {exported.agreement.images} images")
    table.add_column("what")
    table.add_column("value", justify="right")
    table.add_row(
        "max abs error",
        f"{exported.agreement.max_abs_error:.2e} (answers up to {exported.agreement.scale:.1f})",
    )
    table.add_row("same top-1", f"{exported.agreement.top1_agreement:.2f} %")
    if exported.free:
        table.add_row("sizes left free", ", ".join(exported.free))
    if exported.fixed:
        table.add_row("sizes fixed, free in the original", ", ".join(exported.fixed))
    table.add_row(
        f"original, this machine, {exported.threads} thread(s), onnxruntime",
        f"{exported.original_ms:.3f} ms",
    )
    table.add_row("merged, measured side by side", f"{exported.merged_ms:.3f} ms")
    table.add_row("speed-up here", f"{exported.original_ms / exported.merged_ms:.2f}x")
    return table
