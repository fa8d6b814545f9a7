"""A narrowed network learns what the network answered with all its channels, and is kept."""

import copy
import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from merges.narrow import outputs_kept
from training.files import digest
from training.finetune import norms
from training.finetune.fit import Fit, Inputs, Log, fit
from training.finetune.norms import MEASURED_IMAGES
from training.finetune.objectives import Distillation
from training.optim import half_pays
from training.progress import Session
from training.source import habits_of
from training.store import WeightStore, weights_of

if TYPE_CHECKING:
    from training.workbench import Workbench

_STEPS = 400
_RATE = 1.2e-2  # relative; with norms, however few the images


def passes_over(images: int) -> int:
    """How many passes over so many images a narrowed network is trained for."""
    return max(1, round(_STEPS * Fit.batch / images))


def learned(bench: "Workbench", session: Session) -> "Workbench":
    """The workbench of a narrowed network after some training; what was trained before is read.

    The network learns the answers of the untouched one. An interrupted training goes on where it was, and
    ends with the weights of an undisturbed one.
    """
    network, data, setup = bench.network, bench.data.train, bench.setup
    assert setup.narrow is not None
    assert network.wide is not None
    how = Fit(passes_over(len(data)), half=half_pays(), seed=setup.seed)
    objective = Distillation(copy.deepcopy(network.wide), (), _RATE, bench.judge.by_labels)
    augment = habits_of(setup.data).augment
    key = [network.weights_fingerprint, bench.data.fingerprint, how, objective.describe(), augment]
    store, teacher = WeightStore(session.home / "narrowed", session.note), copy.deepcopy(network.teacher)
    name = f"{Path(network.name).name}-{digest(list(map(str, key)))}"
    known = store.read(name, teacher.state_dict())
    if known:
        teacher.load_state_dict(known[0])
    else:
        kept = outputs_kept(network.wide, setup.narrow)
        norms.put_like(teacher, objective.teacher, kept, bench.inputs(data), min(len(data), MEASURED_IMAGES))
        folder = session.home / "narrowed" / name
        log = Log(folder, session.watch, "narrowed", "training the narrowed network")
        inputs = Inputs(bench.changed if augment else bench.inputs(data), len(data))
        fit(teacher, objective, inputs, how, log)
        norms.fold(teacher)
        store.write(name, weights_of(teacher))
        shutil.rmtree(folder, ignore_errors=True)
    return replace(bench, network=replace(network, teacher=teacher))
