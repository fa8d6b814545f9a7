"""A web page about a study that works offline: its front, how it was found, and what its plans merge."""

import base64
import gzip
import json
import math
from collections.abc import Sequence
from pathlib import Path

import jinja2
import numpy as np
import optuna
import plotly.graph_objects as plotly
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.trial import FrozenTrial, create_trial
from plotly.offline import get_plotlyjs

from search.pareto import hypervolume_area, pareto_front
from search.results.front import Front, Point, hypervolume
from search.study.recorded import Finished, Recorded
from search.titles import TITLES, readable
from training.files import replacing

_TEMPLATE = Path(__file__).with_name("page.html")
_ENOUGH_TRIALS = 10
_KEEP = "keep"  # as merges.rule has it, which takes torch along
_MOST_TRIALS, _TREES = 250, 32  # of fANOVA: more take long, and say the same
_MOST_COUNTS = 300  # points of the hypervolume's curve
_BARS = 15
_HOVER = "trial %{text}: %{x:.2f} ms, %{y:.2f} %"
_EARLY = 10  # the first tenth of the trials rises so steeply that the rest would look level
_SHADES = [[0, "rgba(128,128,128,0.1)"], [0.01, "#a6c8e4"], [1, "#1a5a96"]]


def write_page(study: Recorded, front: Front, path: Path) -> None:
    """Write the page atomically."""
    figures = {
        "front": _front(front, study.trials),
        "growth": _growth(front, study.trials),
        "classes": _classes(study, front),
        "importances": _importances(study.trials),
        "sites": _sites(front, study.trials),
    }
    template = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined).from_string(
        _TEMPLATE.read_text()
    )
    shown = json.dumps({name: json.loads(figure.to_json()) for name, figure in figures.items()})
    text = template.render(
        title=f"{front.network} on {front.target}",
        summary=_summary(front),
        basis=f"{front.latency_basis} - {front.latency_source}",
        rows=[_row(point, front.columns) for point in front.points],
        metric=TITLES[front.metric],
        goals=front.columns,
        script=_packed(f"{get_plotlyjs()}\nconst figures = {shown};"),
    )
    with replacing(path) as temporary:
        temporary.write_text(text)


def _packed(script: str) -> str:
    """A script, compressed and as text: plotly.js alone has five megabytes."""
    return base64.b64encode(gzip.compress(script.encode(), mtime=0)).decode()


def _summary(front: Front) -> str:
    base = front.baseline
    return (
        f"Study {front.study}: {len(front.points)} plans on the front of {front.trials} finished trials, "
        f"up to {max(p.speedup for p in front.points):.2f}x faster than the untouched "
        f"{base['latency_ms']:.2f} ms at {base['accuracy']:.2f} %; "
        f"hypervolume {hypervolume(front.points, base):.3f}.{_ranking(front)}"
    )


def _ranking(front: Front) -> str:
    if front.accuracy_model is None:
        return ""
    spearman = front.accuracy_model["spearman"]
    return f" Accuracies predicted from the other plans have rank correlation {spearman:.2f} (Spearman)."


def _row(point: Point, columns: Sequence[str]) -> list[str]:
    return [
        str(point.trial),
        point.plan_id,
        f"{point.latency_ms:.2f}",
        f"{point.speedup:.2f}x",
        f"{point.accuracy:.2f}",
        f"{point.drop:+.2f}",
        f"{point.macs / 1e6:.1f}",
        readable(point.parameters / 1e6),
        *(readable(point.goals[title]) for title in columns),
    ]


def _front(front: Front, trials: Sequence[Finished]) -> plotly.Figure:
    """The front and all trials, with the untouched network and the paper's plan."""
    by_number = {trial.number: trial for trial in trials}
    papers = [p for p in (*front.points, *front.others) if by_number[p.trial].preset]
    figure = plotly.Figure()
    for name, points, mode, symbol in (
        ("other trials", front.others, "markers", "circle-open"),
        ("front", front.points, "markers" if front.goals else "lines+markers", "circle"),
        ("the paper's plan", papers, "markers", "diamond"),
    ):
        others = points is front.others  # by the thousand: their plans would fill the page
        figure.add_scatter(
            x=[round(p.latency_ms, 3) for p in points],
            y=[round(p.accuracy, 3) for p in points],
            mode=mode,
            name=name,
            marker={"symbol": symbol, "size": 12 if symbol == "diamond" else 8},
            text=[str(p.trial) if others else _hover(p, by_number[p.trial]) for p in points],
            hovertemplate=(_HOVER if others else "%{text}") + "<extra></extra>",
        )
    base = front.baseline
    star = {"symbol": "star", "size": 14}
    figure.add_scatter(
        x=[base["latency_ms"]], y=[base["accuracy"]], mode="markers", name="untouched", marker=star
    )
    return figure.update_layout(xaxis_title="latency (ms)", yaxis_title=f"{TITLES[front.metric]} (%)")


def _hover(point: Point, trial: Finished) -> str:
    plan = "<br>".join(f"{site}: {option}" for site, option in trial.record.plan.items())
    head = f"trial {point.trial}, plan {point.plan_id}: {point.latency_ms:.2f} ms ({point.speedup:.2f}x)"
    return f"{head}<br>{point.accuracy:.2f} %, drop {point.drop:+.2f}<br>{plan or 'nothing is merged'}"


def _growth(front: Front, trials: Sequence[Finished]) -> plotly.Figure:
    """The hypervolume after every finished trial, or at no more than so many of them."""
    base = front.baseline
    whole = base["latency_ms"] * base["accuracy"]
    done = sorted(trials, key=lambda trial: (trial.ended, trial.number))
    points = [(trial.values[0], trial.values[1]) for trial in done]
    counts = sorted({round(count) for count in np.linspace(1, len(points), _MOST_COUNTS)})
    areas: list[float] = []
    best: list[tuple[float, float]] = []
    for start, count in zip((0, *counts), counts, strict=False):
        best = pareto_front([*best, *points[start:count]])
        areas.append(round(hypervolume_area(best, base["latency_ms"]) / whole, 5))
    figure = plotly.Figure(plotly.Scatter(x=counts, y=areas, mode="lines"))
    early, last = areas[len(areas) // _EARLY], areas[-1]
    room = max(last - early, 0.01) / 10
    figure.update_yaxes(range=[early - room, last + room])
    return figure.update_layout(xaxis_title="finished trials", yaxis_title="hypervolume")


def _classes(study: Recorded, front: Front) -> plotly.Figure:
    """Latency by kind of kernel, for the untouched network and every plan on the front."""
    by_number = {trial.number: trial.record.cost.by_class_ms for trial in study.trials}
    columns = {"untouched": study.record.baseline.cost.by_class_ms}
    columns |= {f"trial {p.trial}": by_number[p.trial] for p in front.points}
    kinds = sorted({kind for shares in columns.values() for kind in shares})
    heights = {kind: [round(shares.get(kind, 0.0), 4) for shares in columns.values()] for kind in kinds}
    bars = [plotly.Bar(name=kind, x=list(columns), y=heights[kind]) for kind in kinds]
    return plotly.Figure(bars).update_layout(barmode="stack", yaxis_title="latency (ms)")


def _importances(trials: Sequence[Finished]) -> plotly.Figure:
    """How much each site influences accuracy and latency (fANOVA, Hutter et al. 2014)."""
    figure = plotly.Figure()
    if len(trials) < _ENOUGH_TRIALS:
        few = f"{_ENOUGH_TRIALS} finished trials are needed, {len(trials)} are there"
        return figure.update_layout(title=few)
    study = _as_optuna(trials[:: math.ceil(len(trials) / _MOST_TRIALS)])
    shares: dict[str, dict[str, float]] = {}
    judge = optuna.importance.FanovaImportanceEvaluator(n_trees=_TREES, seed=0)
    for axis, name in enumerate(("latency", "accuracy")):

        def target(trial: FrozenTrial, axis: int = axis) -> float:
            return float(trial.values[axis])

        shares[name] = optuna.importance.get_param_importances(study, evaluator=judge, target=target)
    sites = sorted(shares["accuracy"], key=lambda site: shares["accuracy"][site] + shares["latency"][site])
    for name, found in shares.items():
        shown = sites[-_BARS:]
        figure.add_bar(name=name, y=shown, x=[round(found[site], 4) for site in shown], orientation="h")
    return figure.update_layout(xaxis_title="share of the variance", barmode="group")


def _as_optuna(trials: Sequence[Finished]) -> optuna.Study:
    """A study in memory whose parameters are the sites that some plan merges."""
    sites = sorted({site for trial in trials for site in trial.record.plan})
    plans = [{site: trial.record.plan.get(site, _KEEP) for site in sites} for trial in trials]
    space: dict[str, BaseDistribution] = {
        site: CategoricalDistribution(sorted({plan[site] for plan in plans})) for site in sites
    }
    study = optuna.create_study(directions=["minimize", "maximize"])
    for trial, plan in zip(trials, plans, strict=True):
        study.add_trial(create_trial(params=plan, distributions=space, values=trial.values[:2]))
    return study


def _sites(front: Front, trials: Sequence[Finished]) -> plotly.Figure:
    """The options of every plan on the front, at every site that any of them merges."""
    by_number = {trial.number: trial.record.plan for trial in trials}
    plans = {f"trial {p.trial}": by_number[p.trial] for p in front.points}
    sites = sorted({site for plan in plans.values() for site in plan}, reverse=True)
    options = {site: sorted({plan[site] for plan in plans.values() if site in plan}) for site in sites}
    strength = [
        [
            (options[site].index(plan[site]) + 1) / len(options[site]) if site in plan else 0.0
            for plan in plans.values()
        ]
        for site in sites
    ]
    text = [[plan.get(site, _KEEP) for plan in plans.values()] for site in sites]
    cells = plotly.Heatmap(
        x=list(plans),
        y=sites,
        z=strength,
        text=text,
        hovertemplate="%{y}<br>%{x}: %{text}<extra></extra>",
        showscale=False,
        colorscale=_SHADES,
        xgap=1,
        ygap=1,
    )
    return plotly.Figure(cells).update_layout(height=max(300, 22 * len(sites) + 120))
