"""Where plans are judged: in this process, or (``cluster``) in many."""

from typing import Protocol

from merges.plan import Plan
from search.evaluation.evaluator import Evaluation, Evaluator

Judged = Evaluation | Exception


class Pool(Protocol):
    """Takes plans, and gives back what they came to, in any order."""

    @property
    def size(self) -> int:
        """How many plans are judged at once."""

    def submit(self, number: int, plan: Plan) -> None:
        """Have the plan of a trial judged."""

    def wait(self) -> list[tuple[int, Judged]]:
        """What some trials came to, by number, once there are any; an error where judging failed."""


class Here:
    """Judges one plan after the other in this process."""

    size = 1

    def __init__(self, evaluator: Evaluator) -> None:
        self.evaluator = evaluator
        self.waiting: list[tuple[int, Plan]] = []

    def submit(self, number: int, plan: Plan) -> None:
        self.waiting.append((number, plan))

    def wait(self) -> list[tuple[int, Judged]]:
        number, plan = self.waiting.pop(0)
        try:
            return [(number, self.evaluator.evaluate(plan))]
        except Exception as error:
            return [(number, error)]
