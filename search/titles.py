"""How accuracies and goals are titled in tables, and how values are written."""

from typing import Literal

Metric = Literal["expected", "top1", "top5", "kept"]
METRICS: dict[Metric, str] = {"expected": "expected top-1", "top1": "top-1", "top5": "top-5"}
KEPT: Metric = "kept"  # what judges where no image does
TITLES: dict[Metric, str] = {**METRICS, KEPT: "kept weights"}
PARAMETERS = "parameters (M)"


def readable(value: float) -> str:
    """Two decimals, or three digits below a tenth."""
    return f"{value:.2f}" if value >= 0.1 else f"{value:.3g}"
