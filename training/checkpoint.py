"""Checkpoints, from which a training resumes as if it had never stopped."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch.optim.lr_scheduler import LRScheduler

from training.errors import BadInputError
from training.files import replacing

_LAST_EPOCH = "last_epoch"


@dataclass
class Progressed:
    """The epochs so far: the mean loss of each, and how its weights were judged."""

    losses: list[float]
    judged: list[float]

    @property
    def is_best(self) -> bool:
        """Whether the last epoch is the best so far."""
        return self.judged[-1] > max(self.judged[:-1], default=float("-inf"))

    def stale(self, patience: int) -> bool:
        """Whether the best judgement is more than `patience` epochs old (0: never)."""
        if not patience or not self.judged:
            return False
        return len(self.judged) - 1 - self.judged.index(max(self.judged)) >= patience


class Dice:
    """The states of random generators, as a part of a checkpoint: PyTorch's own, and that of the batches."""

    def __init__(self, batches: torch.Generator) -> None:
        self.batches = batches

    def state_dict(self) -> dict[str, torch.Tensor]:
        return {"own": torch.get_rng_state(), "batches": self.batches.get_state()}

    def load_state_dict(self, states: dict[str, torch.Tensor]) -> None:
        torch.set_rng_state(states["own"])
        self.batches.set_state(states["batches"])


def save(
    path: Path,
    parts: dict[str, Any],
    schedule: LRScheduler,
    identity: str,
    done: Progressed,
) -> None:
    """Write the state of all parts atomically."""
    states = {name: part.state_dict() for name, part in parts.items()}
    with replacing(path) as temporary:
        torch.save(
            states | {_LAST_EPOCH: schedule.last_epoch, "identity": identity, "done": asdict(done)}, temporary
        )


def _differing(theirs: str, ours: str) -> str:
    """What two trainings differ in: the settings alone, where both are told as settings and an objective."""
    try:
        (old, *their_objective), (new, *our_objective) = json.loads(theirs), json.loads(ours)
        changed = [name for name in new if old.get(name) != new[name]]
    except (ValueError, TypeError, AttributeError):
        return f"{theirs}, not {ours}"
    pairs = [(f"{name} {old.get(name)}", new[name]) for name in changed]
    pairs += [pair for pair in zip(their_objective, our_objective, strict=False) if pair[0] != pair[1]]
    return ", ".join(f"{was}, not {now}" for was, now in pairs)


def resume(path: Path, parts: dict[str, Any], schedule: LRScheduler, identity: str) -> Progressed | None:
    """Load the last state into the parts; None if there is none.

    Raises
    ------
    BadInputError
        The file is damaged, or belongs to another training.
    """
    if not path.exists():
        return None
    try:
        state = torch.load(path, weights_only=True)
        theirs = state["identity"]
    except Exception as error:
        raise BadInputError(f"checkpoint {path} is damaged ({error}); remove it to start again") from error
    if theirs != identity:
        raise BadInputError(
            f"checkpoint {path} was made with {_differing(theirs, identity)}; "
            "give the same settings to continue, or another `out`"
        )
    try:
        for name, part in parts.items():
            part.load_state_dict(state[name])
        schedule.last_epoch = state[_LAST_EPOCH]
        return Progressed(**state["done"])
    except (LookupError, TypeError, ValueError, RuntimeError, AttributeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise BadInputError(f"checkpoint {path} lacks parts ({reason}); remove it to start again") from error
