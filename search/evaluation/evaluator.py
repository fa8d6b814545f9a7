"""What a plan's answers are worth: what judges plans has to offer, whatever way it takes."""

from dataclasses import dataclass
from typing import Protocol

from merges.plan import Plan
from training.metrics import Accuracy


@dataclass(frozen=True)
class Evaluation:
    """What judging a plan gave.

    Attributes
    ----------
    percent : the accuracy that counts
    accuracy : on the proxy split; None where no images judge
    seconds : spent on it
    """

    percent: float
    accuracy: Accuracy | None
    seconds: float


class Evaluator(Protocol):
    """Judges plans of one network, all of them alike."""

    @property
    def baseline(self) -> Evaluation:
        """The untouched network's."""

    def evaluate(self, plan: Plan) -> Evaluation:
        """Judge a plan."""

    def describe(self) -> str:
        """How plans are judged, in one sentence for people."""
