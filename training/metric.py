"""The names of metrics: what a network is judged by."""

import re
from typing import Annotated

from pydantic import AfterValidator

BY_LABELS = {"expected": "expected top-1", "top1": "top-1", "top5": "top-5"}
DEFAULT = "expected"
ANSWERS = "answers"  # where there are no labels, or no class scores
WEIGHTS = "kept"  # where there is no image
_TITLES = {**BY_LABELS, ANSWERS: "answers kept", WEIGHTS: "kept weights"}
_OWN = re.compile(r"[\w.]+:\w+")


def is_own(metric: str) -> bool:
    """Whether a metric is a function of the user's own, ``package.module:function``."""
    return bool(_OWN.fullmatch(metric))


def known(metric: str) -> str:
    """The metric's name.

    Raises
    ------
    ValueError
        There is no such metric.
    """
    if metric not in _TITLES and not is_own(metric):
        raise ValueError(f"no metric; expected {', '.join((*BY_LABELS, ANSWERS))} or package.module:function")
    return metric


def title(metric: str) -> str:
    """What tables call it."""
    return _TITLES.get(metric, metric)


def unit(metric: str) -> str:
    """Behind its values: percent, or what the user's function counts in."""
    return "" if is_own(metric) else " %"


Metric = Annotated[str, AfterValidator(known)]
