"""Notes on studies and plans for optuna-dashboard."""

from shlex import quote

import optuna

from merges.plan import Plan
from search.called import called
from search.evaluation.evaluator import Evaluation
from search.scoring.score import Score
from search.study.records import StudyRecord
from training.metric import title, unit


def describe_study(study: optuna.Study, how: str) -> None:
    """Note what is searched, the untouched network, and `how` plans are judged."""
    made = StudyRecord.read(study)
    base, metric = made.baseline, made.proxy.metric
    _save(
        study,
        f"""
# {made.network} on {made.target}

Untouched: **{base.cost.latency_ms:.2f} ms**, {title(metric)} **{base.accuracy:.2f}{unit(metric)}**

Latencies: {base.cost.basis} - {made.latency_source}

Accuracies: {how}

To list the front, its plans and the next commands: `{called()} front --study
{quote(study.study_name)}`
""",
    )


def describe_plan(trial: optuna.Trial, plan: Plan, score: Score, found: Evaluation) -> None:
    """Note what a plan merges, and its result."""
    rows = "".join(f"| {site} | {option} |\n" for site, option in plan.items())
    latency = f"{score.latency_ms:.2f} ms ({score.speedup:.2f}x)"
    metric = StudyRecord.read(trial.study).proxy.metric
    _save(
        trial,
        f"""
**{latency}, {title(metric)} {found.value:.2f}{unit(metric)}**

| site | option |
|---|---|
{rows or "| nothing is merged | |"}
""",
    )


def _save(noted: optuna.Study | optuna.Trial, text: str) -> None:
    from optuna_dashboard import save_note  # takes a second: only where there is something to note

    save_note(noted, text.strip())
