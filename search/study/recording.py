"""Makes the records of a study and of every judged plan."""

import platform
import time
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

from merges.plan import Plan
from search.evaluation.evaluator import Evaluation
from search.proxy import Proxy
from search.scoring.score import Score
from search.space.plan_space import PlanSpace
from search.study.records import Accuracies, Baseline, Cost, StudyRecord, TrialRecord
from training.metrics import Accuracy
from training.workbench import Workbench

_PACKAGES = ("torch", "torchvision", "optuna", "onnxruntime", "numpy")


def study_record(
    bench: Workbench, space: PlanSpace, untouched: Evaluation, proxy: Proxy, arguments: Mapping[str, Any]
) -> StudyRecord:
    """The record of a new study; `arguments` are the user's."""
    data, device = bench.data, space.latencies.device
    return StudyRecord(
        network=bench.network.name,
        fingerprint=bench.network.fingerprint,
        weights_fingerprint=bench.network.weights_fingerprint,
        input_shape=bench.network.input_shape,
        classes=bench.network.classes,
        target=device.spec.name,
        latency_source=device.source,
        latency_fingerprint="" if device.spec.grows else device.predictor.fingerprint,
        data_fingerprint=data.fingerprint,
        preprocess=str(bench.preprocess),
        images={
            "train": len(data.train),
            "proxy": len(data.proxy),
            "test": len(data.test),
            "left_out": list(data.dropped),
        },
        model=bench.setup,
        proxy=proxy,
        goals=tuple(space.goals),
        options={
            site: {option: (estimate.saved_ms, estimate.loss) for option, estimate in found.items()}
            for site, found in space.estimates.items()
        },
        unmerged_ms=space.latencies.score({}).latency_ms,
        baseline=Baseline(
            cost=cost_of(space.latencies.baseline),
            accuracy=untouched.value,
            accuracies=_accuracies(untouched.judged.accuracy),
            goals={title: goal(None) for title, goal in space.goals.items()},
        ),
        arguments=dict(arguments),
        versions={"python": platform.python_version()} | {name: version(name) for name in _PACKAGES},
        created=time.strftime("%Y-%m-%dT%H:%M:%S%z"),
    )


def trial_record(plan: Plan, score: Score, peak_bytes: int, found: Evaluation) -> TrialRecord:
    """The record of a judged plan."""
    return TrialRecord(
        plan=dict(plan),
        plan_id=plan.plan_id,
        cost=cost_of(score),
        accuracies=_accuracies(found.judged.accuracy),
        kept=dict(found.judged.kept),
        seconds=found.seconds,
        peak_activation_bytes=peak_bytes,
    )


def cost_of(score: Score) -> Cost:
    """What is recorded of a score."""
    return Cost(
        latency_ms=score.latency_ms,
        by_class_ms=score.by_class_ms,
        kind=score.total.kind,
        basis=score.total.basis(),
        error=score.total.error,
        macs=score.macs,
        parameters=score.parameters,
    )


def _accuracies(accuracy: Accuracy | None) -> Accuracies | None:
    if accuracy is None:
        return None
    return Accuracies(
        expected=accuracy.expected,
        top1=accuracy.top1,
        top5=accuracy.top5,
        top1_standard_error=accuracy.error,
    )
