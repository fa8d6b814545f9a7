"""A web page about a study that works offline: its front, how it was found, and what its plans merge."""

import base64
import gzip
import json
from pathlib import Path

import jinja2
from plotly.offline import get_plotlyjs

from search.results import figures
from search.results.front import Front
from search.results.points import Point, hypervolume
from search.results.tables import after_headings, next_commands
from search.study.recorded import Recorded
from search.titles import readable
from training.files import replacing
from training.metric import title, unit

_TEMPLATE = Path(__file__).with_name("page.html")


def write_page(study: Recorded, front: Front, path: Path) -> None:
    """Write the page atomically."""
    drawn = {
        "front": figures.front_figure(front, study.trials),
        "growth": figures.growth_figure(front, study.trials),
        "classes": figures.classes_figure(study, front),
        "importances": figures.importances_figure(study.trials),
        "sites": figures.sites_figure(front, study.trials),
    }
    template = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined).from_string(
        _TEMPLATE.read_text()
    )
    shown = json.dumps({name: json.loads(figure.to_json()) for name, figure in drawn.items()})
    text = template.render(
        title=f"{front.network} on {front.target}",
        knee=_knee(front),
        summary=_narrowed(study) + _summary(front),
        basis=f"{front.latency_basis} - {front.latency_source}",
        rows=[(point is front.knee, _row(point, front)) for point in front.points],
        change="points" if front.zero_shot else "before training",
        steps=next_commands(front),
        metric=title(front.metric) + unit(front.metric),
        goals=[*front.columns, *after_headings(front)],
        script=_packed(f"{get_plotlyjs()}\nconst figures = {shown};"),
    )
    with replacing(path) as temporary:
        temporary.write_text(text)


def _packed(script: str) -> str:
    """A script, compressed and as text: plotly.js alone has five megabytes."""
    return base64.b64encode(gzip.compress(script.encode(), mtime=0)).decode()


def _knee(front: Front) -> str:
    """The plan to begin with, in a sentence."""
    knee, base = front.knee, front.baseline
    if knee is None:
        return "No plan on the front is faster than the untouched network yet."
    by = "top-1" if front.after and front.after["interval"] else title(front.metric)
    return (
        f"The plan at the front's knee, trial {knee.trial}, takes {knee.latency_ms:.2f} ms: it is "
        f"{knee.speedup:.2f} times as fast as the untouched network ({base['latency_ms']:.2f} ms) and "
        f"{front.change_of(knee)}, in points of {by}."
    )


def _narrowed(study: Recorded) -> str:
    share = study.record.model.narrow
    return f"Before it was merged, the network was narrowed to {share:g} of its channels. " if share else ""


def _summary(front: Front) -> str:
    ends = [f"{p.speedup:.2f}x ({p.change})" for p in (front.points[0], front.points[-1])]
    covered = 100 * hypervolume(front.points, front.baseline)
    return (
        f"Study {front.study}: {len(front.points)} plans on the front of {front.trials} finished trials, "
        f"from {' to '.join(ends)}. The front covers {covered:.1f} % of the area below the untouched network."
        + _ranking(front)
    )


def _ranking(front: Front) -> str:
    if front.accuracy_model is None:
        return ""
    spearman = front.accuracy_model["spearman"]
    return f" Its predictions rank plans that were not tried with Spearman {spearman:.2f} (1: perfectly)."


def _row(point: Point, front: Front) -> list[str]:
    top1 = (
        "-" if point.top1 is None else f"{point.top1:.2f} \N{PLUS-MINUS SIGN}{point.top1_standard_error:.2f}"
    )
    error_ms = point.latency_error * point.latency_ms
    return [
        str(point.trial),
        point.plan_id,
        f"{point.latency_ms:.2f} \N{PLUS-MINUS SIGN}{readable(error_ms)}",
        f"{point.speedup:.2f}x",
        f"{point.accuracy:.2f}",
        point.change,
        top1,
        f"{point.macs / 1e6:.1f}",
        readable(point.parameters / 1e6),
        *(readable(point.goals[title]) for title in front.columns),
        *([front.trained(point)] if front.after else []),
    ]
