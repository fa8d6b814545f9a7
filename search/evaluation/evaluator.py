"""What a plan is worth: latency from the target's table, accuracy from a short proxy."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import islice

import optuna
from torch import Tensor, fx

from merges.plan import Plan
from search.evaluation.bounds import Limits
from search.proxy import Proxy
from search.samplers import make_sampler
from search.scoring.latency import Latencies, Score
from search.scoring.objectives import Goal
from search.space.additive import Estimates
from search.space.estimates import weigh
from search.space.parameters import distributions, repairs
from search.space.problem import Problem
from search.space.warm_start import first_plans, lossless
from training.blocks.bank import Bank
from training.blocks.bottom_up import assemble
from training.blocks.store import WeightStore
from training.blocks.task import Recipe
from training.finetune.short import finetune
from training.metrics import Accuracy, evaluate
from training.progress import Progress
from training.workbench import Workbench


@dataclass(frozen=True)
class Evaluation:
    """A plan's objectives and everything that a trial records."""

    score: Score
    accuracy: Accuracy | None
    percent: float
    seconds: float
    peak_bytes: int


class Evaluator:
    """Judges plans of one workbench on one device."""

    enumerates = False  # whether its first plans are all that there are
    sees_images = True

    def __init__(
        self,
        bench: Workbench,
        latencies: Latencies,
        proxy: Proxy,
        store: WeightStore,
        goals: Mapping[str, Goal] | None = None,
    ) -> None:
        self.bench = bench
        self.latencies = latencies
        self.proxy = proxy
        self.store = store
        self.goals = goals or {}
        self.estimates: Estimates = {}

    def with_proxy(self, proxy: Proxy) -> "Evaluator":
        """The same but for what a trial costs."""
        other = type(self)(self.bench, self.latencies, proxy, self.store, self.goals)
        other.estimates = self.estimates
        return other

    @cached_property
    def bank(self) -> Bank:
        train = self.bench.data.train
        images = self.bench.preprocess(train.pixels[: self.proxy.bank_images])
        return Bank(
            self.bench.network,
            images,
            self.store,
            self.bench.data.fingerprint,
            Recipe(self.proxy.bank_images, steps=self.proxy.bank_steps, seed=self.bench.setup.seed),
        )

    @cached_property
    def teacher_logits(self) -> Tensor:
        """The teacher's answers to the images that fine-tuning sees, computed once."""
        needed = self.bench.data.train.take(range(min(len(self.bench.data.train), self._most_seen)))
        return self.bench.judge(needed)[1]

    @property
    def _most_seen(self) -> int:
        return max(self.proxy.finetune_steps * self.proxy.batch, self.proxy.batch)

    @cached_property
    def exact(self) -> dict[str, str]:
        """The exact choices that pay on the device: part of every plan."""
        return lossless(self.latencies)

    @cached_property
    def baseline(self) -> Accuracy:
        """The teacher's accuracy on the proxy split."""
        return self.bench.judge(self.bench.data.proxy)[0]

    def untouched(self) -> float:
        """Accuracy of the untouched network, in percent of the study's metric."""
        return self._percent(self.baseline)

    def _percent(self, accuracy: Accuracy) -> float:
        """The accuracy that counts."""
        return float(getattr(accuracy, self.proxy.metric))

    def describe(self) -> str:
        """How plans are judged, in one sentence for people."""
        return self.proxy.describe()

    def known_losses(self) -> dict[str, dict[str, float]] | None:
        """What options are known to lose before any trial, by site, in a unit that adds up."""
        return None

    def weigh(self, progress: Progress) -> None:
        """Find out what every option saves and may lose."""
        self.estimates = weigh(self.latencies, self.known_losses(), progress)

    def first_plans(self, count: int) -> Iterator[tuple[str, dict[str, str]]]:
        """Choices to try before the sampler, `count` at most, each with its preset's name or an empty one."""
        return islice(first_plans(self.latencies, self.estimates), count)

    def sampler(self, name: str, seed: int, limits: Limits) -> optuna.samplers.BaseSampler:
        """What proposes plans after the first.

        Raises
        ------
        BadInputError
            There is no such sampler, or the space is too large for it.
        """
        accuracy = self.untouched()

        def allowed(choices: Mapping[str, str]) -> bool:
            whole = {**self.exact, **choices}
            peak_bytes = self.latencies.peak_bytes(whole) if limits.memory_mib is not None else 0
            return not limits.broken(self.latencies.score(whole), peak_bytes)

        problem = Problem(
            distributions(self.bench.network),
            self.estimates,
            baseline_ms=self.latencies.score(self.exact).latency_ms,
            accuracy=accuracy,
            slowest_ms=limits.latency_ms(self.latencies.score({}).latency_ms),
            least_accuracy=0.0 if limits.drop is None else accuracy - limits.drop,
            allowed=allowed,
            costs=self.costs,
            repair=repairs(self.bench.network, self.exact),
        )
        return make_sampler(name, seed, problem)

    def costs(self, choices: Mapping[str, str]) -> list[float]:
        """What is known of a plan before it is trained: its latency (ms), then its goals."""
        whole = {**self.exact, **choices}
        return [self.latencies.score(whole).latency_ms, *(goal(whole) for goal in self.goals.values())]

    def judge(self, plan: Plan, score: Score, peak_bytes: int) -> Evaluation:
        """Train and evaluate a plan whose latency and memory are known already."""
        start = time.perf_counter()
        exact = all(block.keeps_outputs(plan.choice) for block in self.bench.network.blocks)
        accuracy = self.baseline if exact else self._learned(plan)
        seconds = time.perf_counter() - start
        return Evaluation(score, accuracy, self._percent(accuracy), seconds, peak_bytes)

    def _learned(self, plan: Plan) -> Accuracy:
        merged = self.assembled(plan.choice)
        self.tune(merged, self.proxy.finetune_steps)
        return self.accuracy_of(merged)

    def assembled(self, choices: Mapping[str, str]) -> fx.GraphModule:
        """A plan's network from learned blocks, relearned from bottom to top."""
        return assemble(self.bank, choices, self.proxy.relearn_steps)

    def tune(self, merged: fx.GraphModule, steps: int) -> None:
        """Fine-tune the whole network towards the teacher's answers, in place."""
        images, proxy = self.bench.inputs(self.bench.data.train), self.proxy
        finetune(merged, images, self.teacher_logits, steps, proxy.batch, proxy.rate, self.bench.setup.seed)

    def accuracy_of(self, merged: fx.GraphModule) -> Accuracy:
        """On the proxy split."""
        images = self.bench.data.proxy
        return evaluate(merged, self.bench.inputs(images), images.labels)[0]
