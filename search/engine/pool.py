"""Pools judge plans: in this process, or in many (``cluster``)."""

from typing import Protocol

from merges.plan import Plan
from search.evaluation.evaluator import Evaluation, Evaluator

Outcome = Evaluation | Exception


class Pool(Protocol):
    """Takes plans, and returns their results in any order."""

    @property
    def size(self) -> int:
        """How many plans it judges at once."""

    def submit(self, number: int, plan: Plan) -> None:
        """Queue the plan of a trial."""

    def wait(self) -> list[tuple[int, Outcome]]:
        """Wait for results: trial numbers with an evaluation, or the error if judging failed."""


class Here:
    """Judges plans in this process, one after the other."""

    size = 1

    def __init__(self, evaluator: Evaluator) -> None:
        self.evaluator = evaluator
        self.waiting: list[tuple[int, Plan]] = []

    def submit(self, number: int, plan: Plan) -> None:
        self.waiting.append((number, plan))

    def wait(self) -> list[tuple[int, Outcome]]:
        number, plan = self.waiting.pop(0)
        try:
            return [(number, self.evaluator.evaluate(plan))]
        except Exception as error:
            return [(number, error)]
