"""Judges plans after a short proxy: assembled from learned blocks and fine-tuned for a few steps."""

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, fx

from merges.plan import Plan
from merges.reading.check import answers_of
from search.evaluation.on_images import OnImages
from search.proxy import Proxy
from training.blocks.bank import Bank
from training.blocks.bottom_up import assemble
from training.blocks.task import Recipe
from training.finetune.short import distance, finetune
from training.metrics import BATCH
from training.optim import Descent
from training.store import WeightStore
from training.workbench import Workbench


class FineTuned(OnImages):
    """Judges a plan's learned blocks after a short fine-tune."""

    def __init__(self, bench: Workbench, proxy: Proxy, store: WeightStore) -> None:
        super().__init__(bench)
        self.proxy = proxy
        self.store = store

    @cached_property
    def bank(self) -> Bank:
        """The network's merged blocks, each learned when it is first needed."""
        train = self.bench.data.train
        images = self.bench.preprocess(train.pixels[: self.proxy.bank_images])
        return Bank(
            self.bench.network,
            images,
            self.store,
            self.bench.images_fingerprint,
            Recipe(self.proxy.bank_images, steps=self.proxy.bank_steps, seed=self.bench.setup.seed),
        )

    @cached_property
    def answers(self) -> list[Tensor]:
        """The teacher's answers to the images used for fine-tuning, computed once: one tensor an output."""
        images = self.bench.inputs(self.bench.data.train)
        most_seen = max(self.proxy.finetune_steps, 1) * self.proxy.batch
        parts = torch.arange(min(len(self.bench.data.train), most_seen)).split(BATCH)
        answers = (answers_of(self.bench.network.untouched, images(part)) for part in parts)
        return [torch.cat(batches) for batches in zip(*answers, strict=True)]

    def describe(self) -> str:
        return self.proxy.describe()

    def network_of(self, plan: Plan) -> fx.GraphModule:
        merged = self.assembled(plan)
        self.tune(merged, self.proxy.finetune_steps)
        return merged

    def assembled(self, plan: Mapping[str, str]) -> fx.GraphModule:
        """A plan's network, assembled from learned blocks and relearned from bottom to top."""
        return assemble(self.bank, plan, self.proxy.relearn_steps)

    def tune(self, merged: fx.GraphModule, steps: int) -> None:
        """Fine-tune the whole network towards the teacher's answers, in place."""
        images, proxy = self.bench.inputs(self.bench.data.train), self.proxy
        how = Descent(steps, proxy.batch, proxy.rate)

        def error(made: Any, index: Tensor) -> Tensor:
            return distance(made, [part[index] for part in self.answers], self.bench.judge.by_labels)

        finetune(merged, images, error, len(self.answers[0]), how, self.bench.setup.seed)
