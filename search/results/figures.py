"""The figures of the page about a study."""

import math
from collections.abc import Sequence
from statistics import fmean, stdev

import numpy as np
import optuna
import plotly.graph_objects as plotly
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.trial import FrozenTrial, create_trial

from search.pareto import hypervolume_area, pareto_front
from search.results.front import Front
from search.results.points import Point
from search.study.recorded import Finished, Recorded
from training.metric import title, unit

_ENOUGH_TRIALS = 20
_KEEP = "keep"  # as merges.rule has it, which takes torch along
_MOST_TRIALS, _TREES, _FORESTS = 250, 16, 4  # of fANOVA: more take long, and say the same
_MOST_COUNTS = 300  # points of the hypervolume's curve
_BARS = 15
_HOVER = "trial %{text}: %{x:.2f} ms, %{y:.2f} %"
_SIZES = {"diamond": 12, "diamond-open": 18}
_EARLY = 10  # the first tenth of the trials rises so steeply that the rest would look level
_SHADES = [[0, "rgba(128,128,128,0.1)"], [0.01, "#a6c8e4"], [1, "#1a5a96"]]


def front_figure(front: Front, trials: Sequence[Finished]) -> plotly.Figure:
    """The front and all trials, with the untouched network and the paper's plan."""
    by_number = {trial.number: trial for trial in trials}
    knees = [front.knee] if front.knee else []
    papers = [p for p in (*front.points, *front.others) if by_number[p.trial].preset]
    figure = plotly.Figure()
    for name, points, mode, symbol in (
        ("other trials", front.others, "markers", "circle-open"),
        ("front", front.points, "markers" if front.goals else "lines+markers", "circle"),
        ("the paper's plan", papers, "markers", "diamond"),
        ("knee", knees, "markers", "diamond-open"),
    ):
        others = points is front.others  # by the thousand: their plans would fill the page
        figure.add_scatter(
            x=[round(p.latency_ms, 3) for p in points],
            y=[round(p.accuracy, 3) for p in points],
            mode=mode,
            name=name,
            marker={"symbol": symbol, "size": _SIZES.get(symbol, 8), "line": {"width": 2}},
            text=[str(p.trial) if others else _hover(p, by_number[p.trial]) for p in points],
            hovertemplate=(_HOVER if others else "%{text}") + "<extra></extra>",
        )
    base = front.baseline
    star = {"symbol": "star", "size": 14}
    figure.add_scatter(
        x=[base["latency_ms"]], y=[base["accuracy"]], mode="markers", name="untouched", marker=star
    )
    return figure.update_layout(
        xaxis_title="latency (ms)", yaxis_title=f"{title(front.metric)}{unit(front.metric)}"
    )


def _hover(point: Point, trial: Finished) -> str:
    plan = "<br>".join(f"{site}: {option}" for site, option in trial.record.plan.items())
    head = f"trial {point.trial}, plan {point.plan_id}: {point.latency_ms:.2f} ms ({point.speedup:.2f}x)"
    return f"{head}<br>{point.accuracy:.2f} %, {point.change}<br>{plan or 'nothing is merged'}"


def growth_figure(front: Front, trials: Sequence[Finished]) -> plotly.Figure:
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
    return figure.update_layout(xaxis_title="finished trials", yaxis_title="share of the area")


def classes_figure(study: Recorded, front: Front) -> plotly.Figure:
    """Latency by kind of kernel, for the untouched network and every plan on the front."""
    by_number = {trial.number: trial.record.cost.by_class_ms for trial in study.trials}
    columns = {"untouched": study.record.baseline.cost.by_class_ms}
    columns |= {f"trial {p.trial}": by_number[p.trial] for p in front.points}
    kinds = sorted({kind for shares in columns.values() for kind in shares})
    heights = {kind: [round(shares.get(kind, 0.0), 4) for shares in columns.values()] for kind in kinds}
    bars = [plotly.Bar(name=kind, x=list(columns), y=heights[kind]) for kind in kinds]
    return plotly.Figure(bars).update_layout(barmode="stack", yaxis_title="latency (ms)")


def importances_figure(trials: Sequence[Finished]) -> plotly.Figure:
    """How much each site influences accuracy and latency (fANOVA, Hutter et al. 2014)."""
    figure = plotly.Figure()
    if len(trials) < _ENOUGH_TRIALS:
        few = f"{_ENOUGH_TRIALS} finished trials are needed, {len(trials)} are there"
        return figure.update_layout(title=few)
    study = _as_optuna(trials[:: math.ceil(len(trials) / _MOST_TRIALS)])
    shares: dict[str, dict[str, float]] = {}
    spread: dict[str, dict[str, float]] = {}
    judges = [optuna.importance.FanovaImportanceEvaluator(n_trees=_TREES, seed=n) for n in range(_FORESTS)]
    for axis, name in enumerate(("latency", "accuracy")):

        def target(trial: FrozenTrial, axis: int = axis) -> float:
            return float(trial.values[axis])

        found = [optuna.importance.get_param_importances(study, evaluator=j, target=target) for j in judges]
        shares[name] = {site: fmean(one[site] for one in found) for site in found[0]}
        spread[name] = {site: stdev(one[site] for one in found) for site in found[0]}
    sites = sorted(shares["accuracy"], key=lambda site: shares["accuracy"][site] + shares["latency"][site])
    shown = sites[-_BARS:]
    for name, share in shares.items():
        figure.add_bar(
            name=name,
            y=shown,
            x=[round(share[site], 4) for site in shown],
            error_x={
                "type": "data",
                "array": [round(spread[name][site], 4) for site in shown],
                "thickness": 1,
            },
            orientation="h",
        )
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


def sites_figure(front: Front, trials: Sequence[Finished]) -> plotly.Figure:
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
