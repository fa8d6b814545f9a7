"""Attributes of studies and trials beside their records: what a trial is, and why it was not finished."""

from collections.abc import Mapping
from typing import Any

import optuna
from optuna.trial import FrozenTrial

_REASON, _REFUSED, _PRESET, _AGAIN = "reason", "refused", "preset", "again"
_ACCURACY_MODEL = "accuracy_model"


def for_preset(name: str) -> dict[str, str]:
    """The attributes of an enqueued trial of a preset; none if `name` is empty."""
    return {_PRESET: name} if name else {}


def is_preset(attributes: Mapping[str, Any]) -> bool:
    """Whether the attributes are of a trial of a preset's plan."""
    return bool(attributes.get(_PRESET))


def tried_again(lost: FrozenTrial) -> dict[str, Any]:
    """The attributes of an enqueued trial that repeats a lost one."""
    return for_preset(lost.user_attrs.get(_PRESET, "")) | {_AGAIN: lost.number}


def asked_params(trial: FrozenTrial) -> dict[str, Any]:
    """The parameters of a trial; of one that was enqueued, also those that it was not given any more."""
    return {**trial.system_attrs.get("fixed_params", {}), **trial.params}


def write_refused(trial: optuna.Trial, plan: Mapping[str, str]) -> None:
    """Record the plan of a trial that is not worth judging."""
    trial.set_user_attr(_REFUSED, dict(plan))


def refused_plan(trial: FrozenTrial) -> dict[str, str] | None:
    """The plan of a trial that was not worth judging; None if not recorded."""
    found: dict[str, str] | None = trial.user_attrs.get(_REFUSED)
    return found


def write_reason(trial: optuna.Trial, reason: str) -> None:
    """Record why a trial was not finished."""
    trial.set_user_attr(_REASON, reason)


def reason_of(trial: FrozenTrial) -> str:
    """Why a trial was not finished; empty if unknown."""
    return str(trial.user_attrs.get(_REASON, ""))


def write_accuracy_model(study: optuna.Study, spearman: float, plans: int) -> None:
    """Record how well the accuracy model ranks the study's plans, each predicted from all others."""
    study.set_user_attr(_ACCURACY_MODEL, {"spearman": spearman, "plans": plans})


def accuracy_model_of(study: optuna.Study) -> dict[str, float] | None:
    """How well the accuracy model ranks the study's plans; None if not recorded."""
    found: dict[str, float] | None = study.user_attrs.get(_ACCURACY_MODEL)
    return found
