"""A narrowed network learns what the network answered with all its channels, and is kept."""

import copy
import shutil
from dataclasses import replace
from pathlib import Path

import torch

from merges.narrow import outputs_kept
from merges.network import Network
from training.files import digest
from training.finetune import norms
from training.finetune.fit import Fit, Inputs, Log, fit
from training.finetune.objectives import Distillation, rate_for
from training.optim import half_pays
from training.progress import Session
from training.store import WeightStore, weights_of

_STEPS = 400


def passes_over(images: int) -> int:
    """How many passes over so many images a narrowed network is trained for."""
    return max(1, round(_STEPS * Fit.batch / images))


def learned(
    network: Network, share: float, images: Inputs, about: str, classifies: bool, seed: int, session: Session
) -> Network:
    """A network that was narrowed to this share, after some training; what was trained before is read.

    It learns the answers of the untouched one. An interrupted training goes on where it was, and ends with
    the weights of an undisturbed one.

    Parameters
    ----------
    about : tells the images from others
    classifies : whether the answers are class scores
    """
    assert network.wide is not None, "the network was not narrowed"
    how = Fit(passes_over(images.count), half=half_pays(), seed=seed)
    objective = Distillation(copy.deepcopy(network.untouched), (), rate_for(fast=True), classifies)
    key = [network.weights_fingerprint, about, str(how), objective.describe()]
    store, teacher = WeightStore(session.home / "narrowed", session.note), copy.deepcopy(network.teacher)
    name = f"{Path(network.name).name}-{digest(key)}"
    if norms.read_folded(store, name, teacher) is None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            kept = outputs_kept(network.untouched, share)
            norms.put_like(teacher, objective.teacher, kept, images.of, images.count)
        folder = session.home / "narrowed" / name
        log = Log(folder, session.watch, "narrowed", "training the narrowed network")
        fit(teacher, objective, images, how, log)
        norms.fold(teacher)
        store.write(name, weights_of(teacher))
        shutil.rmtree(folder, ignore_errors=True)
    return replace(network, teacher=teacher)
