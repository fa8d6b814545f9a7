"""The curves of ``rivals.py`` as a picture.

python benchmarks/rival_picture.py digits docs/pictures/rivals.svg [PROCESSOR]
"""

import json
import math
import sys
from collections import defaultdict
from html import escape
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.rival_cases import INT8, OURS, PAPER, UNTOUCHED  # noqa: E402
from benchmarks.rival_curves import name_of, timings_in  # noqa: E402
from benchmarks.rivals import RESULTS, kept_cells  # noqa: E402
from training.files import replacing  # noqa: E402

_WIDTH, _HEIGHT, _LEFT, _TOP, _RIGHT, _BOTTOM = 760, 420, 60, 20, 130, 45
_COLOURS = {
    OURS: "#d55e00",
    "merged": "#e69f00",
    "taylor": "#009e73",
    "taylor_steps": "#56b4e9",
    "group_norm": "#777777",
    "width": "#0072b2",
    "depth": "#cc79a7",
    "skip": "#999933",
    "tucker": "#882255",
    PAPER: "#000000",
}
_MOST_LOST = 6  # points; what loses more is beyond the edge
_LABEL = (90, 15)  # pixels that the name of a method takes
_TICKS = (1, 1.5, 2, 3, 4, 6, 8, 12, 16)
Curve = list[tuple[float, float]]  # speed-up, points lost


def curves(case: str, processor: str) -> dict[str, Curve]:
    """Each method's measured points with one thread, from the untouched network on (mean over seeds)."""
    timings = json.loads(timings_in(RESULTS / case, processor).read_text())
    done = [cell for cell in kept_cells(RESULTS / case) if "top1" in cell and name_of(cell) in timings]
    first = {cell["seed"]: cell["top1"] for cell in done if cell["method"] == UNTOUCHED}
    points: dict[tuple[str, float], Curve] = defaultdict(list)
    for cell in done:
        lost = first[cell["seed"]] - cell["top1"]
        points[cell["method"], cell["setting"]].append((timings[name_of(cell)]["1"]["speedup"], lost))
    found: dict[str, Curve] = defaultdict(lambda: [(1.0, 0.0)])
    for (method, _), of_seeds in sorted(points.items()):
        if method not in (UNTOUCHED, INT8):
            speeds, losses = zip(*of_seeds, strict=True)
            found[method].append((sum(speeds) / len(speeds), sum(losses) / len(losses)))
    return {method: sorted(curve) for method, curve in found.items()}


def drawn(found: dict[str, Curve], title: str) -> str:
    """The curves as SVG: the further right and the higher, the better."""
    fastest = max(speed for curve in found.values() for speed, _ in curve)
    most = min(_MOST_LOST, math.ceil(max(lost for curve in found.values() for _, lost in curve)))
    across, down = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM

    def x(speed: float) -> float:
        return _LEFT + across * math.log(speed) / math.log(fastest)

    def y(lost: float) -> float:
        return _TOP + down * (min(lost, most) + 0.5) / (most + 0.5)

    parts = [f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="white"/>']
    parts += [
        f'<path d="M{_LEFT} {y(lost):.1f}H{_LEFT + across}" stroke="#dddddd"/>'
        f'<text x="{_LEFT - 8}" y="{y(lost) + 4:.1f}" text-anchor="end">{-lost}</text>'
        for lost in range(most + 1)
    ]
    parts += [
        f'<path d="M{x(speed):.1f} {_TOP}v{down}" stroke="#dddddd"/>'
        f'<text x="{x(speed):.1f}" y="{_TOP + down + 18}" text-anchor="middle">{speed}x</text>'
        for speed in _TICKS
        if speed <= fastest
    ]
    named: list[tuple[float, float]] = []
    for method, curve in sorted(found.items(), key=lambda item: -item[1][-1][0]):
        colour = _COLOURS[method]
        line = " ".join(f"{x(speed):.1f},{y(lost):.1f}" for speed, lost in curve)
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{x(s):.1f}" cy="{y(n):.1f}" r="4" fill="{colour}"/>' for s, n in curve[1:]]
        left, height = x(curve[-1][0]) + 8, y(curve[-1][1]) + 4
        while any(
            abs(left - other) < _LABEL[0] and abs(height - higher) < _LABEL[1] for other, higher in named
        ):
            height -= _LABEL[1]
        named.append((left, height))
        parts.append(f'<text x="{left:.1f}" y="{height:.1f}" fill="{colour}">{escape(method)}</text>')
    parts.append(
        f'<text x="{_LEFT + across / 2}" y="{_HEIGHT - 6}" text-anchor="middle">'
        f"{escape(title)}: measured speed-up, one thread; points of top-1</text>"
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" '
        f'font-family="sans-serif" font-size="13">{"".join(parts)}</svg>\n'
    )


def main() -> None:
    case, out, *processor = sys.argv[1:]
    with replacing(Path(out)) as temporary:
        temporary.write_text(drawn(curves(case, "".join(processor)), case))


if __name__ == "__main__":
    main()
