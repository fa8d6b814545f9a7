"""Draws a plan as SVG: the network before and after, every kernel with its latency."""

from collections.abc import Sequence, Set
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import fmean
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from latency_models.kernel import Kernel, Layer
from search.results.plan_view import in_words
from search.results.planfile import PlanFile
from search.scoring.latency import Latencies
from training.files import replacing

_WIDTH, _HEIGHT, _GAP, _MARGIN, _TITLE = 178, 34, 14, 24, 80
_BETWEEN, _LANE, _LEAST_WIDTH = 20, 2, 380
_LONGEST_NAME = 26
_COLD, _HOT = (246, 248, 250), (255, 166, 87)  # red, green, blue of a kernel that takes no time, or most
_LEGEND = "every box a kernel; the darker, the slower; framed in blue: merging changes it"
_STYLE = """text{font:11px system-ui,sans-serif;fill:#1b1f24} .title{font-size:16px;font-weight:600}
.time{font-size:13px} .small{font-size:10px;fill:#57606a} .edge{stroke:#8c959f;fill:none} .box{stroke:#8c959f}
.changed{stroke:#0969da;stroke-width:2} .page{fill:#ffffff}"""


@dataclass(frozen=True)
class _Box:
    """A kernel; `changed` if merging brings it or takes it away."""

    layer: Layer
    ms: float
    changed: bool


@dataclass(frozen=True)
class _Panel:
    """Kernels in rows, each below all that it reads; what passes a row takes a lane of its own there."""

    boxes: dict[str, _Box]
    rows: list[list[str]]  # of layers' names, and of lanes: "from > to"
    edges: list[list[tuple[int, str]]]  # each a path from row to row

    @property
    def width(self) -> int:
        return max(_LEAST_WIDTH, *(sum(map(self._wide, row)) for row in self.rows))

    def _wide(self, name: str) -> int:
        return (_WIDTH if name in self.boxes else _LANE) + _GAP

    def middles(self, row: int, left: float) -> dict[str, float]:
        """Where each member of a row has its middle."""
        members = self.rows[row]
        x = left + (self.width - sum(map(self._wide, members))) / 2
        found = {}
        for name in members:
            found[name] = x + self._wide(name) / 2
            x += self._wide(name)
        return found


def draw(latencies: Latencies, plan: PlanFile, path: Path) -> None:
    """Write the picture in one step."""
    merged, unmerged = (_kernels(latencies.layers(choices)) for choices in (plan.choices, {}))
    taken, brought = ({name for name, _ in kernels} for kernels in (unmerged - merged, merged - unmerged))
    before = _panel_of(latencies, latencies.layers(None), taken)
    after = _panel_of(latencies, latencies.layers(plan.choices), brought)
    hottest = max(box.ms for box in before.boxes.values())
    rows = max(len(before.rows), len(after.rows))
    width = before.width + after.width + _GAP + 2 * _MARGIN
    height = _TITLE + rows * (_HEIGHT + _BETWEEN) + _MARGIN
    frame = {"width": str(width), "height": str(height), "viewBox": f"0 0 {width} {height}"}
    page = Element("svg", {"xmlns": "http://www.w3.org/2000/svg"} | frame)
    SubElement(page, "style").text = _STYLE
    SubElement(page, "rect", {"class": "page", "width": "100%", "height": "100%"})
    sums = [sum(box.ms for box in panel.boxes.values()) for panel in (before, after)]
    titles = (
        (f"{plan.network} before", f"{sums[0]:.2f} ms on {plan.target}"),
        (
            f"narrowed to {plan.narrow:g}, then merged" if plan.narrow else "after",
            f"{sums[1]:.2f} ms ({plan.speedup:.2f}x)",
        ),
    )
    left = float(_MARGIN)
    for panel, (title, time) in zip((before, after), titles, strict=True):
        _text(page, "title", left, _MARGIN, title)
        _text(page, "time", left, _MARGIN + 18, time)
        _text(page, "small", left, _MARGIN + 34, _LEGEND)
        _draw(page, panel, left, hottest)
        left += panel.width + _GAP
    with replacing(path) as temporary:
        ElementTree.ElementTree(page).write(temporary, encoding="utf-8")


def _kernels(layers: Sequence[Layer]) -> set[tuple[str, Kernel]]:
    return {(layer.name, layer.kernel) for layer in layers}


def _panel_of(latencies: Latencies, layers: Sequence[Layer], changed: Set[str]) -> _Panel:
    boxes = {
        layer.name: _Box(layer, latencies.latency(layer.kernel).us / 1000, layer.name in changed)
        for layer in layers
    }
    depth: dict[str, int] = {}
    for layer in layers:
        depth[layer.name] = 1 + max((depth[source] for source in layer.inputs if source in depth), default=-1)
    rows: list[list[str]] = [[] for _ in range(1 + max(depth.values()))]
    edges: list[list[tuple[int, str]]] = []
    for layer in layers:
        end = depth[layer.name]
        for source in dict.fromkeys(layer.inputs):
            if source in depth:
                lane = f"{source} > {layer.name}"
                passed = [(row, lane) for row in range(depth[source] + 1, end)]
                for row, name in passed:
                    rows[row].append(name)
                edges.append([(depth[source], source), *passed, (end, layer.name)])
        rows[end].append(layer.name)
    return _Panel(boxes, _ordered(rows, edges), edges)


def _ordered(rows: list[list[str]], edges: list[list[tuple[int, str]]]) -> list[list[str]]:
    """The members of every row from left to right as what they come from stands (Sugiyama et al. 1981)."""
    above: dict[tuple[int, str], list[str]] = {}
    for edge in edges:
        for (_, source), place in pairwise(edge):
            above.setdefault(place, []).append(source)
    ordered: list[list[str]] = []
    position: dict[str, float] = {}
    for number, row in enumerate(rows):
        wish = {
            name: fmean(position.get(source, 0.5) for source in above.get((number, name), [""]))
            for name in row
        }
        ordered.append(sorted(row, key=lambda name: wish[name]))
        position = {name: (place + 0.5) / len(row) for place, name in enumerate(ordered[-1])}
    return ordered


def _draw(page: Element, panel: _Panel, left: float, hottest: float) -> None:
    middles = [panel.middles(row, left) for row in range(len(panel.rows))]
    tops = [_TITLE + row * (_HEIGHT + _BETWEEN) for row in range(len(panel.rows))]
    for edge in panel.edges:
        path = ""
        for (row, name), (next_row, next_name) in pairwise(edge):
            x0, x1, y0, y1 = (
                middles[row][name],
                middles[next_row][next_name],
                tops[row] + _HEIGHT,
                tops[next_row],
            )
            half = (y0 + y1) / 2
            path += (
                f"{'L' if path else 'M'}{x0:.0f} {y0}C{x0:.0f} {half:.0f} {x1:.0f} {half:.0f} {x1:.0f} {y1}"
            )
        SubElement(page, "path", {"class": "edge", "d": path})
    for row, names in enumerate(panel.rows):
        for name in names:
            if name in panel.boxes:
                _rectangle(page, panel.boxes[name], middles[row][name], tops[row], hottest)


def _rectangle(page: Element, box: _Box, middle: float, y: float, hottest: float) -> None:
    heat = min(1.0, box.ms / max(hottest, 1e-9)) ** 0.5
    colour = ",".join(str(round(cold + heat * (hot - cold))) for cold, hot in zip(_COLD, _HOT, strict=True))
    group = SubElement(page, "g")
    SubElement(group, "title").text = f"{box.layer.name}: {box.layer.kernel.key}, {box.ms:.3f} ms"
    name, left, right = box.layer.name, middle - _WIDTH / 2 + 6, middle + _WIDTH / 2 - 6
    frame = {"class": "changed" if box.changed else "box", "rx": "4", "fill": f"rgb({colour})"}
    corner = {"x": f"{middle - _WIDTH / 2:.0f}", "y": f"{y:.0f}"}
    SubElement(group, "rect", frame | corner | {"width": str(_WIDTH), "height": str(_HEIGHT)})
    _text(group, "", left, y + 14, name if len(name) <= _LONGEST_NAME else "…" + name[1 - _LONGEST_NAME :])
    _text(group, "small", left, y + 27, in_words(box.layer.kernel))
    _text(group, "small", right, y + 27, f"{box.ms:.2f} ms", "end")


def _text(parent: Element, kind: str, x: float, y: float, text: str, anchor: str = "start") -> None:
    place = {"class": kind, "x": f"{x:.0f}", "y": f"{y:.0f}", "text-anchor": anchor}
    SubElement(parent, "text", place).text = text
