"""Judges plans on images: how good a plan's network is on the proxy split."""

import time
from abc import ABC, abstractmethod
from functools import cached_property

from torch import fx

from merges.plan import Plan
from search.evaluation.evaluator import Evaluation
from training.judging import Judged
from training.workbench import Workbench


class OnImages(ABC):
    """Judges plans on the proxy split, by the workbench's metric."""

    def __init__(self, bench: Workbench) -> None:
        self.bench = bench

    @abstractmethod
    def network_of(self, plan: Plan) -> fx.GraphModule:
        """A plan's network with the weights to judge."""

    @abstractmethod
    def describe(self) -> str: ...

    @cached_property
    def baseline(self) -> Evaluation:
        return Evaluation(self.judged(self.bench.network.untouched))

    @cached_property
    def _unmerged(self) -> Judged:
        """How good the network is before anything is merged."""
        network = self.bench.network
        return self.baseline.judged if network.wide is None else self.judged(network.teacher)

    def evaluate(self, plan: Plan) -> Evaluation:
        start = time.perf_counter()
        judged = self._unmerged
        if not all(block.keeps_outputs(plan) for block in self.bench.network.blocks):
            judged = self.judged(self.network_of(plan))
        return Evaluation(judged, time.perf_counter() - start)

    def judged(self, network: fx.GraphModule) -> Judged:
        """How good a network is on the proxy split."""
        return self.bench.judge.judge(network, self.bench.data.proxy)
