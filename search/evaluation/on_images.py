"""Judges plans on images: the accuracy of a plan's network on the proxy split."""

import time
from abc import ABC, abstractmethod
from functools import cached_property

from torch import fx

from merges.plan import Plan
from search.evaluation.evaluator import Evaluation
from training.metrics import Accuracy, evaluate
from training.workbench import Workbench


class OnImages(ABC):
    """Judges plans on the proxy split; `metric` is the accuracy to report, an attribute of ``Accuracy``."""

    def __init__(self, bench: Workbench, metric: str) -> None:
        self.bench = bench
        self.metric = metric

    @abstractmethod
    def network_of(self, plan: Plan) -> fx.GraphModule:
        """A plan's network with the weights to judge."""

    @abstractmethod
    def describe(self) -> str: ...

    @cached_property
    def baseline(self) -> Evaluation:
        return self._judged(self.bench.judge(self.bench.data.proxy)[0], 0.0)

    def evaluate(self, plan: Plan) -> Evaluation:
        start = time.perf_counter()
        accuracy = self.baseline.accuracy
        if accuracy is None or not all(block.keeps_outputs(plan) for block in self.bench.network.blocks):
            accuracy = self.accuracy_of(self.network_of(plan))
        return self._judged(accuracy, time.perf_counter() - start)

    def accuracy_of(self, merged: fx.GraphModule) -> Accuracy:
        """Accuracy on the proxy split."""
        images = self.bench.data.proxy
        return evaluate(merged, self.bench.inputs(images), images.labels)[0]

    def _judged(self, accuracy: Accuracy, seconds: float) -> Evaluation:
        return Evaluation(float(getattr(accuracy, self.metric)), accuracy, seconds)
