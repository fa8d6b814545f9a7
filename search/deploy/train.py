"""Trains a plan's network: a resumable run in a folder of its own."""

import copy
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import fx, nn

from merges.plan import Plan
from search.deploy import runs
from search.deploy.plans import rescored
from search.deploy.trained import Trained, judged
from search.results.planfile import PlanFile
from search.scoring.device import Device
from search.scoring.latency import Latencies
from training.blocks.bank import Bank
from training.blocks.bottom_up import assemble, following, relearn
from training.blocks.task import Recipe
from training.config import ModelConfig
from training.data.loading import NO_DATA
from training.errors import BadInputError
from training.files import replacing, sweep
from training.finetune import norms
from training.finetune.deep_rebirth import train_as_deep_rebirth
from training.finetune.fit import Fit, Inputs, Judge, Log, fit
from training.finetune.objectives import MANY_IMAGES, Distillation, rate_for
from training.metrics import evaluate
from training.optim import half_pays
from training.progress import Session
from training.source import habits_of
from training.store import WeightStore
from training.workbench import Workbench, workbench

_CLOSED_FORM_IMAGES = 64


@dataclass(frozen=True)
class Training:
    """How a plan's network is trained fully.

    Attributes
    ----------
    recipe : ours (bank, bottom to top, distillation with norms that are folded at the end) or the paper's
        (labels, new layers start at random)
    with_labels : also learn from labels (recipe ours); None: where there are some and labels judge
    rate : learning rate of distillation, relative to the size of each tensor; None: by the number of images
    augment : train on random crops, half of them mirrored
    patience : stop after this many epochs without better accuracy on the proxy split; 0: never
    joint : names of layers that are trained together (recipe paper)
    relearn_images, relearn_views, relearn_steps : of the pass from bottom to top: images, versions of each
        (as it is, then augmented), steps per block
    """

    epochs: int = 10
    recipe: str = "ours"
    with_labels: bool | None = False
    rate: float | None = None
    augment: bool = False
    patience: int = 0
    joint: tuple[tuple[str, ...], ...] = ()
    relearn_images: int = 400
    relearn_views: int = 1
    relearn_steps: int = 120

    @classmethod
    def of(cls, plan: PlanFile, fields: Mapping[str, Any]) -> tuple[ModelConfig, "Training"]:
        """What to load for a plan, and how to train it, from fields named like the flags of ``train``.

        Raises
        ------
        BadInputError
            No images are given, or a field is unknown or excludes another.
        """
        given = {name: value for name, value in fields.items() if value is not None}
        trust = bool(given.pop("trust", False))
        own = {name: given.pop(name) for name in cls.__dataclass_fields__ if name in given}
        if own.get("joint") and own.get("recipe") != "paper":
            raise BadInputError("`joint` goes with `recipe` paper; ours learns every layer separately")
        setup = plan.setup_with(given, trust)
        if setup.data == NO_DATA:
            raise BadInputError("the plan names no images to learn on; give `data`")
        habits = habits_of(setup.data)
        defaults = {
            "with_labels": None if setup.eval_data is None else False,
            "augment": habits.augment,
            "relearn_steps": habits.relearn_steps,
        }
        return setup, cls(**defaults | own)

    def relearning(self, images: int, seed: int) -> Recipe:
        """The recipe of the pass from bottom to top, with at most this many images."""
        count = min(images, self.relearn_images)
        return Recipe(count, self.relearn_views, self.relearn_steps, seed=seed, half=half_pays())


def train(
    plan_file: PlanFile,
    setup: ModelConfig,
    training: Training,
    out: Path,
    session: Session,
) -> Trained:
    """Train a plan's network fully; checkpoints, logs and the result are written to `out`.

    Raises
    ------
    BadInputError
        The plan does not fit the network, or `out` holds a run of another plan.
    """
    runs.claim(out, plan_file, setup)
    sweep(out)
    bench = workbench(setup, session, plan_file.fitted)
    if training.recipe == "paper" or training.with_labels:
        _check_labels(bench, training.recipe)
    plan = plan_file.fitted(bench.network)
    if plan.plan_id != plan_file.plan_id:
        plan_file = rescored(
            plan_file, Latencies(bench.network, Device.named(plan_file.target, session.home))
        )
        session.note(f"the plan was edited: scored anew, {plan_file.speedup:.2f}x on {plan_file.target}")
    plan_file.model_copy(update={"setup": setup}).save(out / runs.PLAN)
    merged, losses = trained_network(bench, plan, training, out, session)
    trained = judged(bench, merged, losses)
    runs.keep_trained(out, merged, bench.model)
    with replacing(out / runs.RESULT) as temporary:
        temporary.write_text(json.dumps(trained.answer(), indent=2) + "\n")
    return trained


def trained_network(
    bench: Workbench, plan: Plan, training: Training, out: Path, session: Session
) -> tuple[fx.GraphModule, list[float]]:
    """A plan's network, trained fully, and its losses; what was made before is read from `out`."""
    network, data = bench.network, bench.data.train
    images = bench.changed if training.augment else bench.inputs(data)
    inputs, log = Inputs(images, len(data), data.labels), Log(out, session.watch)
    half = half_pays(gpu=torch.cuda.is_available())
    how = Fit(training.epochs, half=half, patience=training.patience, seed=bench.setup.seed)
    judge = _judge(bench) if training.patience else None
    if training.recipe == "paper":
        return train_as_deep_rebirth(network, plan, training.joint, inputs, how, log, judge)
    merged = bottom_up(bench, plan, training, out / "relearned", session)
    by_labels = bench.judge.by_labels
    with_labels = by_labels and data.labelled if training.with_labels is None else training.with_labels
    labels = data.labels if with_labels else None
    # Few images are overfitted without the features of blocks; norms disturb these without labels.
    many = len(data) >= MANY_IMAGES
    normed = many or with_labels
    rate = rate_for(fast=normed) if training.rate is None else training.rate
    guided = [block.name for block in network.blocks if block.choices(plan) and not (many and with_labels)]
    answering = None if network.wide is None else copy.deepcopy(network.untouched)
    objective = Distillation(
        network.skeleton(), guided, rate, by_labels or with_labels, labels=labels, answering=answering
    )
    if normed and how.epochs:
        norms.put(merged, bench.inputs(data), len(data))
    losses = fit(merged, objective, inputs, how, log, judge)
    norms.fold(merged)
    return merged, losses


def _check_labels(bench: Workbench, recipe: str) -> None:
    """Refuse to learn from labels that there are not, or that the network does not give."""
    if not bench.data.train.labelled:
        raise BadInputError(
            f"the images of {bench.setup.data} have no labels; learn with `recipe` ours without them"
        )
    if bench.network.classes != len(bench.data.classes):
        raise BadInputError(
            f"{bench.network.name} does not classify the images of {bench.setup.data}; learn with `recipe` "
            f"ours without labels, not {recipe} with them"
        )


def _judge(bench: Workbench) -> Judge:
    """Expected top-1 on the proxy split, or the metric where it is not by labels."""
    if bench.data.test_is_proxy:
        raise BadInputError(
            "`patience` needs images to judge epochs on that are not the test images; "
            "give data with a split of its own instead of `eval_data`"
        )
    images, judging = bench.inputs(bench.data.proxy), bench.judge

    def judge(merged: nn.Module) -> float:
        if not judging.by_labels:
            return judging.judge(copy.deepcopy(merged).cpu(), bench.data.proxy).value
        return evaluate(merged, images, bench.data.proxy.labels)[0].expected

    return judge


def bottom_up(
    bench: Workbench, plan: Mapping[str, str], training: Training, folder: Path, session: Session
) -> fx.GraphModule:
    """The plan's network: blocks in closed form, relearned from bottom to top and kept in `folder`."""
    simple = Recipe(images=_CLOSED_FORM_IMAGES, steps=0, seed=bench.setup.seed)
    few = bench.preprocess(bench.data.train.pixels[: simple.images])
    merged = assemble(
        Bank(bench.network, few, WeightStore(session.home / "bank"), bench.images_fingerprint, simple), plan
    )
    if training.relearn_steps:
        recipe = training.relearning(len(bench.data.train), bench.setup.seed)
        images = bench.views(recipe, session.watch("changing images"))
        tasks = following(bench.network, images, recipe.half)
        told = session.watch("relearning merged blocks from bottom to top")
        relearn(merged, bench.network, plan, tasks, recipe, told, WeightStore(folder))
    return merged
