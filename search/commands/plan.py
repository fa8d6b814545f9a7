"""The ``plan`` command: select a plan, draw it, merge two."""

import json
from pathlib import Path
from shlex import quote
from typing import Any

import click

from merges.plan import Plan
from search.called import example, next_steps, trusting
from search.commands import options, terminal
from search.results import front, planfile
from search.results.plan_table import plan_table
from search.results.planfile import PlanFile
from search.results.svg import draw
from search.scoring.availability import priced
from search.scoring.latency import Device, Latencies
from search.space import presets
from search.space.warm_start import lossless
from search.study import study
from search.study.storage import database
from training.errors import BadInputError
from training.workbench import structure

_file = click.Path(exists=False, dir_okay=False, path_type=Path)


@click.group(
    "plan",
    invoke_without_command=True,
    epilog=example("plan --study googlenet-arm-a57-digits-64 --max-drop 0.5 --out plan.json"),
)
@click.option("--study", "name", help="Take a plan from this study:")
@click.option("--trial", type=int, help="this trial, or")
@click.option("--max-drop", type=float, help="the fastest plan that loses at most this many points, or")
@click.option(
    "--max-latency", type=float, help="the most accurate plan that takes at most this many milliseconds, or"
)
@click.option("--speedup", type=float, help="the most accurate plan that is at least this many times faster.")
@click.option(
    "--preset",
    help=f"Instead of a study: {', '.join(presets.names())} or exact; paper:3 is the first 3 steps of paper.",
)
@options.file("--out", text="Write the plan as JSON.")
@click.option(
    "--storage", envvar="OPTUNA_STORAGE", help="Study database URL.  [default: SQLite under --home]"
)
@options.structure
@click.pass_context
def command(
    context: click.Context,
    name: str | None,
    preset: str | None,
    out: Path | None,
    as_json: bool,
    **given: Any,
) -> None:
    """Select a plan from a study or a preset, and show what it merges."""
    if context.invoked_subcommand is not None:
        return
    if (name is None) == (preset is None):
        raise BadInputError("give either --study NAME or --preset NAME")
    found = _preset(str(preset), given) if preset else _of_study(str(name), given)
    _answer(found, out, as_json)


def _answer(found: PlanFile, out: Path | None, as_json: bool) -> None:
    if out:
        found.save(out)
        terminal.note(f"plan written to {out}")
    path = quote(str(out or "plan.json"))
    command = f"train --plan {path} --epochs 10 --out runs/merged"
    if found.setup and found.setup.zero_shot:
        command = f"export --plan {path} --out model.onnx"
    options.say(
        found.model_dump(mode="json"),
        as_json,
        plan_table(found),
        next_steps(command + trusting(found.network)),
    )


def _preset(preset: str, given: dict[str, Any]) -> PlanFile:
    device = Device.named(given["target"], given["home"])
    network = structure(given["model"], given["input_size"], given["classes"], low_rank=True)
    exact = preset == "exact"
    choices = lossless(*priced(network, [device])) if exact else presets.preset(preset, network)
    plan = Plan.make(network, choices)
    return PlanFile.of_plan(network, plan, given["target"], Latencies(network, device).score(plan))


def _of_study(name: str, given: dict[str, Any]) -> PlanFile:
    opened = study.open_study(name, database(given["storage"], given["home"]))
    point = front.select(
        front.read(opened), given["trial"], given["max_drop"], given["max_latency"], given["speedup"]
    )
    return PlanFile.of_trial(opened, point)


@command.command("show", epilog=example("plan show plan.json --svg plan.svg"))
@click.argument("path", type=_file)
@options.file("--svg", required=True, text="SVG picture to write: the network before and after.")
@options.trust
@options.home
def show(path: Path, svg: Path, trust: bool, home: Path) -> None:
    """Draw a plan's network before and after, with the latency of every kernel."""
    plan = PlanFile.load(path)
    latencies = planfile.latencies(plan, home, trust)
    draw(latencies, plan, svg)
    terminal.note(f"picture written to {svg}")


@command.command("merge", epilog=example("plan merge stem.json modules.json --out both.json"))
@click.argument("first", type=_file)
@click.argument("second", type=_file)
@options.file("--out", text="Write the plan as JSON.")
@options.trust
@options.home
@options.as_json
def merge(first: Path, second: Path, out: Path | None, trust: bool, home: Path, as_json: bool) -> None:
    """Combine two plans of one network; they must not disagree about a site."""
    both = PlanFile.load(first), PlanFile.load(second)
    _answer(planfile.merged(*both, home, trust), out, as_json)


@command.command("schema", epilog=example("plan schema > plan.schema.json"))
def schema() -> None:
    """Print the JSON schema of plan files."""
    click.echo(json.dumps(PlanFile.model_json_schema(), indent=2))
