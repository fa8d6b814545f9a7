"""Draws a plan as SVG: the network before and after, every kernel with its latency."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from latency_models.kernel import Kernel, Layer
from search.results.planfile import PlanFile
from search.scoring.latency import Latencies
from training.files import replacing

_WIDTH, _HEIGHT, _GAP, _MARGIN, _TITLE = 178, 34, 14, 24, 64
_LONGEST_NAME = 26
_COLD, _HOT = (246, 248, 250), (255, 166, 87)  # red, green, blue of a kernel that takes no time, or most
_LEGEND = "every box a kernel; the darker, the slower; framed in blue: only here"
_STYLE = """text{font:11px system-ui,sans-serif;fill:#1b1f24} .title{font-size:16px;font-weight:600}
.small{font-size:10px;fill:#57606a} .edge{stroke:#8c959f;fill:none} .box{stroke:#8c959f}
.changed{stroke:#0969da;stroke-width:2} .page{fill:#ffffff}"""


@dataclass(frozen=True)
class _Box:
    """A kernel and its position: row (its depth in kernels), and column from the middle."""

    layer: Layer
    ms: float
    row: int
    column: float
    changed: bool


def draw(latencies: Latencies, plan: PlanFile, path: Path) -> None:
    """Write the picture in one step."""
    before = _boxes(latencies, {}, plan.choices)
    after = _boxes(latencies, plan.choices, {})
    hottest = max(box.ms for box in before)
    left, right = (_columns(boxes) * (_WIDTH + _GAP) for boxes in (before, after))
    rows = 1 + max(box.row for box in (*before, *after))
    width, height = left + right + _GAP + 2 * _MARGIN, _TITLE + rows * (_HEIGHT + _GAP) + _MARGIN
    frame = {"width": str(width), "height": str(height), "viewBox": f"0 0 {width} {height}"}
    page = Element("svg", {"xmlns": "http://www.w3.org/2000/svg"} | frame)
    SubElement(page, "style").text = _STYLE
    SubElement(page, "rect", {"class": "page", "width": "100%", "height": "100%"})
    title = f"{plan.network} before: {sum(box.ms for box in before):.2f} ms on {plan.target}"
    _panel(page, before, title, _MARGIN, left, hottest)
    title = f"after: {sum(box.ms for box in after):.2f} ms ({plan.speedup:.2f}x)"
    _panel(page, after, title, _MARGIN + left + _GAP, right, hottest)
    with replacing(path) as temporary:
        ElementTree.ElementTree(page).write(temporary, encoding="utf-8")


def _boxes(latencies: Latencies, choices: dict[str, str], other: dict[str, str]) -> list[_Box]:
    """The kernels of one plan; those that the other plan lacks are marked as changed."""
    elsewhere = {(layer.name, layer.kernel) for layer in latencies.layers(other)}
    depth: dict[str, int] = {}
    rows: dict[int, list[Layer]] = {}
    for layer in latencies.layers(choices):
        depth[layer.name] = 1 + max((depth.get(source, -1) for source in layer.inputs), default=-1)
        rows.setdefault(depth[layer.name], []).append(layer)
    predictor = latencies.device.predictor
    return [
        _Box(
            layer,
            predictor.latency(layer.kernel).us / 1000,
            row,
            column - (len(members) - 1) / 2,
            (layer.name, layer.kernel) not in elsewhere,
        )
        for row, members in rows.items()
        for column, layer in enumerate(members)
    ]


def _columns(boxes: Sequence[_Box]) -> int:
    return max(round(2 * box.column) + 1 for box in boxes)


def _panel(
    page: Element, boxes: Sequence[_Box], title: str, left: float, width: float, hottest: float
) -> None:
    places = {
        box.layer.name: (
            left + width / 2 + box.column * (_WIDTH + _GAP),
            float(_TITLE + box.row * (_HEIGHT + _GAP)),
        )
        for box in boxes
    }
    _text(page, "title", left, _MARGIN, title)
    _text(page, "small", left, _MARGIN + 18, _LEGEND)
    for box in boxes:
        x, y = places[box.layer.name]
        for x0, y0 in (places[source] for source in box.layer.inputs if source in places):
            y0 += _HEIGHT
            curve = f"M{x0:.0f} {y0:.0f}C{x0:.0f} {y:.0f} {x:.0f} {y0:.0f} {x:.0f} {y:.0f}"
            SubElement(page, "path", {"class": "edge", "d": curve})
    for box in boxes:
        _rectangle(page, box, *places[box.layer.name], hottest)


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
    _text(group, "small", left, y + 27, _shape(box.layer.kernel))
    _text(group, "small", right, y + 27, f"{box.ms:.2f} ms", "end")


def _text(parent: Element, kind: str, x: float, y: float, text: str, anchor: str = "start") -> None:
    place = {"class": kind, "x": f"{x:.0f}", "y": f"{y:.0f}", "text-anchor": anchor}
    SubElement(parent, "text", place).text = text


def _shape(kernel: Kernel) -> str:
    """A kernel in a few words, such as ``conv 3x3/2 64 -> 192``."""
    if kernel.op == "linear":
        return f"linear {kernel.in_shape[0]} -> {kernel.out_shape[0]}"
    stride = f"/{kernel.stride[0]}" if kernel.stride != (1, 1) else ""
    window = f" {kernel.window[0]}x{kernel.window[1]}{stride}"
    if kernel.op == "conv":
        return f"conv{window} {kernel.in_shape[0]} -> {kernel.out_shape[0]}"
    return f"{kernel.op}{window}" if kernel.op.endswith("pool") else kernel.op
