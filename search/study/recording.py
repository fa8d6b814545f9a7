"""What is recorded of a search before it begins, and of every plan that was judged."""

import platform
import time
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

from merges.plan import Plan
from search.evaluation.evaluator import Evaluation, Evaluator
from search.scoring.latency import Score
from search.study.records import Accuracies, Baseline, Cost, StudyRecord, TrialRecord
from training.metrics import Accuracy

_PACKAGES = ("torch", "torchvision", "optuna", "onnxruntime", "numpy")


def study_record(evaluator: Evaluator, arguments: Mapping[str, Any]) -> StudyRecord:
    """Everything that a study is made with; `arguments` are the user's."""
    bench, latencies, data = evaluator.bench, evaluator.latencies, evaluator.bench.data
    return StudyRecord(
        network=bench.network.name,
        fingerprint=bench.network.fingerprint,
        weights_fingerprint=bench.network.weights_fingerprint,
        input_shape=bench.network.input_shape,
        classes=bench.network.classes,
        target=latencies.device.spec.name,
        latency_source=latencies.device.source,
        data_fingerprint=data.fingerprint,
        images={
            "train": len(data.train),
            "proxy": len(data.proxy),
            "test": len(data.test),
            "left_out": list(data.dropped),
        },
        model=bench.setup,
        proxy=evaluator.proxy,
        goals=tuple(evaluator.goals),
        options={
            site: {option: (estimate.saved_ms, estimate.loss) for option, estimate in found.items()}
            for site, found in evaluator.estimates.items()
        },
        baseline=Baseline(
            cost=_cost(latencies.score({})),
            accuracy=evaluator.untouched(),
            accuracies=_accuracies(evaluator.baseline) if evaluator.sees_images else None,
            goals={title: goal({}) for title, goal in evaluator.goals.items()},
        ),
        arguments=dict(arguments),
        versions={"python": platform.python_version()} | {name: version(name) for name in _PACKAGES},
        created=time.strftime("%Y-%m-%dT%H:%M:%S%z"),
    )


def trial_record(plan: Plan, found: Evaluation) -> TrialRecord:
    """What a judged plan came to."""
    return TrialRecord(
        plan=plan.choice,
        plan_id=plan.plan_id,
        cost=_cost(found.score),
        accuracies=_accuracies(found.accuracy) if found.accuracy else None,
        seconds=found.seconds,
        peak_activation_bytes=found.peak_bytes,
    )


def _cost(score: Score) -> Cost:
    return Cost(
        latency_ms=score.latency_ms,
        by_class_ms=score.by_class_ms,
        kind=score.total.kind,
        basis=score.total.basis(),
        error=score.total.error,
        macs=score.macs,
        parameters=score.parameters,
    )


def _accuracies(accuracy: Accuracy) -> Accuracies:
    return Accuracies(
        expected=accuracy.expected,
        top1=accuracy.top1,
        top5=accuracy.top5,
        top1_standard_error=accuracy.error,
    )
