"""Tables of trained, exported and timed networks."""

from collections.abc import Sequence
from pathlib import Path

from rich.table import Table

from latency_models import bench
from search.deploy.exported import Exported
from search.deploy.timings import HERE
from search.deploy.trained import Trained
from training.metric import title, unit
from training.metrics import Accuracy

_LOSERS = 5
_FIVE = 5


def trained_table(trained: Trained) -> Table:
    """Teacher and merged network on the test images; where labels judge, the classes that lose most too."""
    where = "the evaluation images that also chose the plan" if trained.test_is_proxy else "the test split"
    if trained.agreement is None:
        return _judged_table(trained, f"{title(trained.metric)} on {where} ({trained.images} images)")
    table = Table(
        title=f"accuracy on {where} ({trained.images} images)", caption="in brackets: 95 % confidence"
    )
    several = len(trained.classes) > _FIVE  # of fewer, the five best are all
    for heading in ("network", "top-1 %", *(["top-5 %"] if several else [])):
        table.add_column(heading, justify="left" if heading == "network" else "right")
    for name, judged in (("teacher", trained.teacher), ("merged", trained.merged)):
        assert judged.accuracy is not None
        shares = (judged.accuracy.top1, judged.accuracy.top5)[: 1 + several]
        table.add_row(name, *(_with_interval(judged.accuracy, share) for share in shares))
    table.add_row("same answer", f"{trained.agreement:.2f}", end_section=True)
    losers = sorted(trained.classes.items(), key=lambda item: item[1][2] - item[1][1])
    for name, (count, teacher, merged) in losers[:_LOSERS]:
        if merged < teacher:
            table.add_row(f"class {name} ({count} images)", f"{teacher:.1f} -> {merged:.1f}", style="dim")
    return table


def _judged_table(trained: Trained, heading: str) -> Table:
    """By another metric than labels; where answers judge, the share of each output that is kept."""
    table = Table(title=heading)
    outputs = list(trained.merged.kept) if len(trained.merged.kept) > 1 else []
    for column in ("network", f"{title(trained.metric)}{unit(trained.metric)}", *outputs):
        table.add_column(column, justify="left" if column == "network" else "right", overflow="fold")
    for name, judged in (("teacher", trained.teacher), ("merged", trained.merged)):
        table.add_row(name, *(f"{value:.2f}" for value in (judged.value, *(judged.kept[o] for o in outputs))))
    return table


def _with_interval(reached: Accuracy, percent: float) -> str:
    low, high = reached.interval(percent)
    return f"{percent:.2f} ({low:.1f} - {high:.1f})"


def exported_table(exported: Exported) -> Table:
    """Agreement of an export with its network."""
    table = Table(title=f"{exported.onnx}: checked on {exported.agreement.images} images")
    table.add_column("what")
    table.add_column("value", justify="right")
    for agreement, file in ((exported.agreement, ""), (exported.agreement_ncnn, f" in {exported.ncnn}")):
        for name, gap in agreement.outputs.items() if agreement else ():
            table.add_row(
                f"max abs error of {name}{file}", f"{gap.error:.2e} (answers up to {gap.scale:.3g})"
            )
    if exported.agreement.top1_agreement is not None:
        table.add_row("same top-1", f"{exported.agreement.top1_agreement:.2f} %")
    fed, shape = exported.preprocess, "x".join(map(str, exported.input_shape))
    table.add_row("image", f"{shape}, {fed['channels']}, values of 0-255")
    if "resize_to_cover" in fed:
        covered, middle = ("x".join(map(str, fed[name])) for name in ("resize_to_cover", "center_crop"))
        table.add_row("photos", f"resized to cover {covered}, the middle {middle}")
    for words, name in (("minus the mean", "mean"), ("divided by the deviation", "std")):
        table.add_row(words, ", ".join(f"{value:g}" for value in fed[name]))
    if exported.free:
        table.add_row("sizes left free", ", ".join(exported.free))
    if exported.fixed:
        table.add_row("sizes fixed, free in the original", ", ".join(exported.fixed))
    return table


def timings_table(exported: Exported) -> Table:
    """Predicted beside measured latencies."""
    where = "" if exported.is_here else f"; this machine is not {exported.target}"
    table = Table(title="latency of one image", caption=f"measured in turn{where}")
    for heading in ("where", "runtime", "threads", "latency is", "original ms", "merged ms", "speed-up"):
        table.add_column(heading, justify="right" if heading[-2:] in ("ms", "up", "ds") else "left")
    for t in exported.timings:
        numbers = (f"{t.original_ms:.3f}", f"{t.merged_ms:.3f}", f"{t.speedup:.2f}x")
        here = t.machine == HERE
        kind = t.kind if here else f"predicted (kernels {t.kind})"
        table.add_row(t.machine, t.runtime, str(t.threads), kind, *numbers, style="bold" if here else "")
    return table


def bench_table(machine: str, timings: Sequence[bench.Timing], shape: tuple[int, ...] | None = None) -> Table:
    """Models side by side, with what was predicted for them, unless it was for images of another `shape`."""
    table = Table(title=machine, caption="in brackets: 95 % confidence; predicted: by 'export', for 1 thread")
    for heading in ("model", "threads", "ms", "times as fast", "predicted ms", "peak MiB", "file MiB"):
        table.add_column(heading, justify="left" if heading == "model" else "right", overflow="fold")
    for number, t in enumerate(timings):
        model = Path(t.model)
        files = [model] if model.suffix == ".onnx" else [model, model.with_suffix(".bin")]
        same = shape in (None, bench.image_shape(model))
        predicted = bench.predicted_ms(model) if same else {}
        size = sum(file.stat().st_size for file in files if file.exists())
        table.add_row(
            t.model,
            str(t.threads),
            f"{t.median_ms:.3f} +-{t.spread_ms:.3f}",
            f"{t.ratio:.2f} ({t.low:.2f} - {t.high:.2f})",
            ", ".join(f"{name} {ms:.3f}" for name, ms in predicted.items()) if t.threads == 1 else "",
            f"{t.peak_bytes / 2**20:.1f}" if t.peak_bytes else "-",
            f"{size / 2**20:.2f}",
            end_section=number + 1 < len(timings) and timings[number + 1].threads != t.threads,
        )
    return table
