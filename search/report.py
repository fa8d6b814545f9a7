"""What people read: tables, progress bars and the one-page report of a front."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from shlex import quote

import pandas as pd
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from search.deploy import Exported
from search.front import Front
from search.goals import PARAMETERS, readable
from search.planfile import PlanFile
from search.proxy import KEPT, TITLES
from search.train import Trained
from training.files import replacing
from training.finetune import Accuracy

_LOSERS = 5
_notes = Console(stderr=True, highlight=False, markup=False, emoji=False)
_JUDGED = (
    " on the proxy split",
    " (squared, of the layers that can be factored): no image was seen, no accuracy is known",
)


def note(text: str) -> None:
    """A line on standard error."""
    _notes.print(text, soft_wrap=True)


@contextmanager
def bars() -> Iterator[Callable[[str], Callable[[int, int], None]]]:
    """Progress bars on standard error: ``watch(what)`` gives a callback of (done, total)."""
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=_notes) as progress:

        def watch(what: str) -> Callable[[int, int], None]:
            tasks: list[TaskID] = []

            def update(done: int, total: int) -> None:
                if not tasks:
                    tasks.append(progress.add_task(what, total=total, completed=done))
                progress.update(tasks[0], completed=done, total=total)

            return update

        yield watch


def front_table(front: Front) -> Table:
    """The front, slowest plan first."""
    metric = TITLES[front.metric]
    table = Table(
        title=f"{front.network} on {front.target}: Pareto front of {front.trials} finished trials "
        f"(study {front.study})",
        caption=f"untouched: {front.latency_basis} - {front.latency_source}; {metric}"
        + _JUDGED[front.metric == KEPT],
    )
    for heading in (
        "trial",
        "plan",
        "latency ms",
        "speed-up",
        f"{metric} %",
        "drop",
        "top-1 %",
        "MACs M",
        PARAMETERS,
        "latency is",
        *front.columns,
    ):
        table.add_column(heading, justify="left" if heading == "plan" else "right", overflow="fold")
    base = front.baseline
    accuracies = (f"{base['accuracy']:.2f}", "0.00", f"{base['top1']:.2f}" if "top1" in base else "-")
    untouched = (f"{base['latency_ms']:.2f}", "1.00x", *accuracies)
    goals = (readable(front.goals[title]) for title in front.columns)
    table.add_row("-", "untouched", *untouched, "", "", "", *goals, style="dim", end_section=True)
    for p in front.points:
        table.add_row(
            str(p.trial),
            p.plan_id,
            f"{p.latency_ms:.2f}",
            f"{p.speedup:.2f}x",
            f"{p.accuracy:.2f}",
            f"{p.drop:+.2f}",
            "-" if p.top1 is None else f"{p.top1:.2f} +-{p.top1_standard_error:.2f}",
            f"{p.macs / 1e6:.1f}",
            readable(p.parameters / 1e6),
            f"{p.kind}, +-{100 * p.latency_error:.0f} %",
            *(readable(p.goals[title]) for title in front.columns),
        )
    return table


def next_commands(front: Front) -> str:
    """The commands that lead from this front to a deployed network."""
    select = f"  python cli.py plan --study {quote(front.study)} --max-drop 1 --out plan.json"
    if front.zero_shot:
        return f"Next:\n{select}\n  python cli.py export --plan plan.json --out model.onnx"
    train = "  python cli.py train --plan plan.json --epochs 10 --out runs/merged"
    return f"Next:\n{select}\n{train}\n  python cli.py export --run runs/merged --out model.onnx"


def write_csv(front: Front, path: Path) -> None:
    """The front's points, one a row."""
    with replacing(path) as temporary:
        pd.DataFrame([vars(point) for point in front.points]).to_csv(temporary, index=False)


def plan_table(plan: PlanFile) -> Table:
    """What a plan merges where."""
    accuracy = f", {TITLES[plan.metric]} {plan.accuracy:.2f} % (drop {plan.drop:+.2f})" if plan.metric else ""
    table = Table(
        title=f"plan {plan.plan_id} of {plan.network}: {plan.latency_ms:.2f} ms on {plan.target}, "
        f"{plan.speedup:.2f}x the untouched {plan.baseline_latency_ms:.2f} ms{accuracy}",
        caption=f"latency: {plan.basis}; sites that are not listed are kept",
    )
    for heading in ("rule", "where", "option"):
        table.add_column(heading)
    for site, option in plan.choices.items():
        rule, _, place = site.partition(":")
        table.add_row(rule, place, option)
    if not plan.choices:
        table.add_row("-", "nothing is merged", "keep")
    return table


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
