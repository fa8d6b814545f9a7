"""The ``plan`` command."""

from pathlib import Path
from typing import Any

import click

from search import front, report, study, warmstart
from search.commands import options
from search.latency import Device, Latencies
from search.planfile import PlanFile
from search.setup import structure
from search.space import to_plan
from training.errors import BadInputError


@click.command(
    "plan",
    epilog="Example: python cli.py plan --study googlenet-arm-a57-digits-64 --max-drop 0.5 --out plan.json",
)
@click.option("--study", "name", help="Choose from this study:")
@click.option("--trial", type=int, help="this trial, or")
@click.option("--max-drop", type=float, help="the fastest plan that loses at most so many points, or")
@click.option("--max-latency", type=float, help="the most accurate plan of at most so many milliseconds, or")
@click.option("--speedup", type=float, help="the most accurate plan at least so many times faster.")
@click.option("--preset", help="Instead of a study, a hand-made plan by name: paper.")
@options.file("--out", text="Write the plan as JSON.")
@click.option(
    "--storage", envvar="OPTUNA_STORAGE", help="Study database URL.  [default: SQLite under --home]"
)
@options.structure
def command(name: str | None, preset: str | None, out: Path | None, as_json: bool, **given: Any) -> None:
    """Select a plan from a study, or a preset, and say what it merges where."""
    if (name is None) == (preset is None):
        raise BadInputError("give either --study NAME or --preset NAME")
    found = _preset(str(preset), given) if preset else _of_study(str(name), given)
    if out:
        found.save(out)
        report.note(f"plan written to {out}")
    command = f"Next:\n  python cli.py train --plan {out or 'plan.json'} --epochs 10 --out runs/merged"
    options.say(found.model_dump(mode="json"), as_json, report.plan_table(found), command)


def _preset(preset: str, given: dict[str, Any]) -> PlanFile:
    device = Device.named(given["target"], given["home"])
    network = structure(given["model"], given["input_size"], given["classes"])
    plan = to_plan(network, warmstart.preset(preset, network))
    return PlanFile.of_plan(network, plan, given["target"], Latencies(network, device).score(plan.choice))


def _of_study(name: str, given: dict[str, Any]) -> PlanFile:
    opened = study.open_study(name, options.database(given["storage"], given["home"]))
    point = front.select(
        front.read(opened), given["trial"], given["max_drop"], given["max_latency"], given["speedup"]
    )
    return PlanFile.of_trial(opened, point)
