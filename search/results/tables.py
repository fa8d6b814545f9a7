"""The table of a front, its CSV file, and the commands that come next."""

from pathlib import Path
from shlex import quote

from rich.table import Table

from search.called import database_flags, home_flag, next_steps, trusting
from search.results.front import Front
from search.titles import PARAMETERS, readable
from training.files import replacing
from training.metric import WEIGHTS, title, unit

_JUDGED = (
    " on the proxy split",
    " (squared, of the layers that can be factored): no image was seen, no accuracy is known",
)
_MIXED = (
    "; training brings back less of what narrowing lost than of what merging lost: plans are compared by "
    "what they lose after it, as far as that is known or estimated"
)


def front_table(front: Front) -> Table:
    """The front, slowest plan first."""
    metric, trials = title(front.metric), f"{front.trials} finished trial{'s' * (front.trials > 1)}"
    table = Table(
        title=f"{front.network} on {front.target}: Pareto front of {trials} ({_studies(front)})",
        caption=f"untouched: {front.latency_basis} - {front.latency_source}; {metric}"
        + _JUDGED[front.metric == WEIGHTS]
        + ("" if front.zero_shot else "; accuracies are before training where nothing else is said")
        + (_MIXED if front.mixed else ""),
    )
    headings, several = after_headings(front), len(front.studies) > 1
    for heading in (
        "trial",
        "latency ms",
        "speed-up",
        f"{metric}{unit(front.metric)}",
        "points" if front.zero_shot else "before training",
        "top-1 %",
        "MACs M",
        PARAMETERS,
        "latency is",
        *front.columns,
        *headings,
    ):
        table.add_column(heading, justify="right", overflow="fold")
    base = front.baseline
    accuracies = (f"{base['accuracy']:.2f}", "", f"{base['top1']:.2f}" if "top1" in base else "-")
    untouched = (f"{base['latency_ms']:.2f}", "1.00x", *accuracies)
    goals = (readable(front.goals[title]) for title in front.columns)
    after = [f"{front.after['untouched']:.2f}"] if front.after else [""] * len(headings)
    table.add_row("untouched", *untouched, "", "", "", *goals, *after, style="dim", end_section=True)
    for p in front.points:
        table.add_row(
            f"{front.studies.index(p.study) + 1}: {p.trial}" if several else str(p.trial),
            f"{p.latency_ms:.2f} +-{100 * p.latency_error:.0f} %",
            f"{p.speedup:.2f}x",
            f"{p.accuracy:.2f}",
            p.change,
            "-" if p.top1 is None else f"{p.top1:.2f} +-{p.top1_standard_error:.2f}",
            f"{p.macs / 1e6:.1f}",
            readable(p.parameters / 1e6),
            p.kind,
            *(readable(p.goals[title]) for title in front.columns),
            *([front.trained(p)] if headings else []),
        )
    return table


def _studies(front: Front) -> str:
    """The names of the studies, numbered where there are several."""
    if len(front.studies) == 1:
        return f"study {front.study}"
    numbered = (f"{number}:\N{NO-BREAK SPACE}{name}" for number, name in enumerate(front.studies, 1))
    return f"studies {', '.join(numbered)}"


def after_headings(front: Front) -> list[str]:
    """The heading of what plans reach after training, where one was trained."""
    if front.after is None:
        return ["points after training, estimated"] if front.mixed else []
    what = "top-1 %" if front.after["interval"] else f"{title(front.metric)}{unit(front.metric)}"
    return [f"{what} after {front.after['passes']} passes, test images (~ is estimated)"]


def next_commands(front: Front) -> str:
    """The commands from this front to a deployed network, by the plan at its knee."""
    knee = front.knee
    if knee is None:
        return "No plan on the front is faster than the untouched network: search on, or offer more sites."
    what = f"{knee.speedup:.2f}x, {front.change_of(knee)}"
    title = f"Next, with the plan at the front's knee ({what}):"
    select = f"plan --study {quote(knee.study)} --trial {knee.trial} --out plan.json" + database_flags()
    trust = home_flag() + trusting(front.network)
    if front.zero_shot:
        return next_steps(select, "export --plan plan.json --out model.onnx" + trust, title=title)
    train = "train --plan plan.json --epochs 10 --out runs/merged" + home_flag()
    train += trusting(front.network, front.metric)
    export = "export --run {} --out model.onnx --original original.onnx" + trust
    steps = [select, train, export.format("runs/merged")]
    if knee.after:
        title += f"\n(after {knee.after['passes']} passes it can be exported as it is: the last command)"
        steps.append(export.format(quote(knee.after["run"])))
    return next_steps(*steps, title=title)


def write_csv(front: Front, path: Path) -> None:
    """Write the front's points, one per row."""
    import pandas as pd  # takes a third of a second: only where there is a file to write

    with replacing(path) as temporary:
        flat = [vars(p) | {f"after_{name}": v for name, v in (p.after or {}).items()} for p in front.points]
        rows = [{name: _as_cell(v) for name, v in row.items() if name != "after"} for row in flat]
        pd.DataFrame(rows).to_csv(temporary, index=False)


def _as_cell(value: object) -> object:
    """A value that a spreadsheet does not take for a formula."""
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@")) else value
