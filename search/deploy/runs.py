"""The folder of a training run: its plan, trained weights and result."""

from pathlib import Path

from torch import fx, nn

from search.results.planfile import PlanFile
from training.config import ModelConfig
from training.errors import BadInputError
from training.finetune import norms
from training.store import WeightStore, fingerprint_of, weights_of

PLAN, WEIGHTS, RESULT = "plan.json", "merged", "result.json"
_UNTOUCHED = "untouched"  # a note of the weights


def claim(out: Path, plan_file: PlanFile, setup: ModelConfig) -> None:
    """Refuse a folder that holds a run of another plan or other data."""
    if not (out / PLAN).exists():
        try:
            out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise BadInputError(
                f"{out} cannot be written ({error.strerror}); choose another `out`"
            ) from error
        return
    earlier = PlanFile.load(out / PLAN)
    if (earlier.fingerprint, earlier.choices, earlier.setup) != (
        plan_file.fingerprint,
        plan_file.choices,
        setup,
    ):
        raise BadInputError(
            f"{out} holds a run of plan {earlier.plan_id} with other settings or data; choose another `out`"
        )


def plan_of(run: Path) -> PlanFile:
    """The plan of a finished run.

    Raises
    ------
    BadInputError
        The folder holds no finished run.
    """
    if not (run / f"{WEIGHTS}.safetensors").exists():
        raise BadInputError(
            f"{run} holds no finished run (no {WEIGHTS}.safetensors); 'train --out' makes one"
        )
    return PlanFile.load(run / PLAN)


def keep_trained(run: Path, merged: fx.GraphModule, untouched: nn.Module) -> None:
    """Write what a run has trained, and of which network."""
    notes = {_UNTOUCHED: fingerprint_of(untouched)}
    WeightStore(run).write(WEIGHTS, weights_of(merged), notes)


def load_trained(run: Path, merged: fx.GraphModule, untouched: nn.Module) -> bool:
    """Give a plan's network the weights of a finished run; whether the untouched one is still the same.

    Raises
    ------
    BadInputError
        They are damaged, or another network's.
    """
    reasons: list[str] = []
    notes = norms.read_folded(WeightStore(run, reasons.append), WEIGHTS, merged)
    if notes is None:
        raise BadInputError(f"{reasons[0].partition(';')[0]}; remove it, and run 'train' again")
    return notes.get(_UNTOUCHED) in (None, fingerprint_of(untouched))  # earlier runs do not say
