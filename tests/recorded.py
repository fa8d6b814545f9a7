"""Records of studies and trials that no search made."""

import optuna

from search.proxy import Proxy
from search.study.records import Accuracies, Baseline, Cost, StudyRecord, TrialRecord
from training.config import ModelConfig


def cost(latency_ms: float, by_class_ms: dict[str, float] | None = None) -> Cost:
    return Cost(
        latency_ms=latency_ms,
        by_class_ms=by_class_ms or {"conv": latency_ms},
        kind="measured",
        basis="2 kernels measured",
        error=0.01,
        macs=5,
        parameters=7,
    )


def accuracies(percent: float) -> Accuracies:
    return Accuracies(expected=percent, top1=percent, top5=percent, top1_standard_error=0.5)


def record(study: optuna.Study, baseline: Cost, accuracy: float) -> None:
    """Make a study one of this program's."""
    study_record(baseline, accuracy).write(study)


def study_record(baseline: Cost, accuracy: float) -> StudyRecord:
    return StudyRecord(
        network="net",
        fingerprint="f",
        weights_fingerprint="w",
        input_shape=(3, 24, 24),
        classes=10,
        target="t",
        latency_source="source",
        data_fingerprint="d",
        images={},
        model=ModelConfig(),
        proxy=Proxy(metric="top1"),
        goals=(),
        options={},
        baseline=Baseline(cost=baseline, accuracy=accuracy, accuracies=accuracies(accuracy), goals={}),
        arguments={},
        versions={},
        created="",
    )


def record_trial(trial: optuna.Trial, plan: dict[str, str], latency_ms: float, accuracy: float) -> None:
    """Make a trial one of this program's."""
    TrialRecord(
        plan=plan,
        plan_id=f"p{trial.number}",
        cost=cost(latency_ms),
        accuracies=accuracies(accuracy),
        seconds=1.0,
        peak_activation_bytes=9,
    ).write(trial)
