"""The protocol of what judges plans, and what it returns."""

from dataclasses import dataclass
from typing import Protocol

from merges.plan import Plan
from training.metrics import Accuracy


@dataclass(frozen=True)
class Evaluation:
    """The result of judging a plan.

    Attributes
    ----------
    percent : accuracy by the study's metric
    accuracy : all accuracies on the proxy split; None if plans are judged without images
    seconds : time taken
    """

    percent: float
    accuracy: Accuracy | None
    seconds: float


class Evaluator(Protocol):
    """Judges the plans of one network, all in the same way."""

    @property
    def baseline(self) -> Evaluation:
        """The result for the untouched network."""

    def evaluate(self, plan: Plan) -> Evaluation:
        """Judge a plan."""

    def describe(self) -> str:
        """How plans are judged, in one sentence."""
