"""The protocol of what judges plans, and what it returns."""

from dataclasses import dataclass
from typing import Protocol

from merges.plan import Plan
from training.judging import Judged


@dataclass(frozen=True)
class Evaluation:
    """The result of judging a plan.

    Attributes
    ----------
    judged : how good its network is
    seconds : time taken
    """

    judged: Judged
    seconds: float = 0.0

    @property
    def value(self) -> float:
        """By the study's metric."""
        return self.judged.value


class Evaluator(Protocol):
    """Judges the plans of one network, all in the same way."""

    @property
    def baseline(self) -> Evaluation:
        """The result for the untouched network."""

    def evaluate(self, plan: Plan) -> Evaluation:
        """Judge a plan."""

    def describe(self) -> str:
        """How plans are judged, in one sentence."""
