"""The ``plan`` command: select a plan, draw it, merge two."""

from __future__ import annotations

import json
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

import click

from search.called import example, home_flag, next_steps, trusting
from search.commands import kinds, options, terminal
from training.errors import BadInputError

if TYPE_CHECKING:
    from search.results.planfile import PlanFile


def _presets() -> list[str]:
    from search.space import presets

    return [*presets.names(), presets.EXACT]


_file = click.Path(exists=False, dir_okay=False, path_type=Path)
_CHOICES = ("trial", "max_drop", "max_latency", "speedup", "after_training")  # what selects a plan of a study


@click.group(
    "plan",
    invoke_without_command=True,
    epilog=example("plan --study googlenet-arm-a57-digits-64 --max-drop 0.5 --out plan.json"),
)
@options.studies()
@click.option("--trial", type=int, help="this trial ('front' shows their numbers), or")
@click.option(
    "--max-drop",
    type=float,
    help="the fastest plan that loses at most this many points before training, e.g. 0.5, or",
)
@click.option(
    "--max-latency",
    help="the most accurate plan that takes at most this long: 40ms, or 50% of the untouched network, or",
)
@click.option(
    "--speedup", type=float, help="the most accurate plan that is at least this many times as fast, e.g. 1.7."
)
@click.option(
    "--after-training",
    is_flag=True,
    help="Of --max-drop: points after training, as plans were trained by 'search --finish', estimated from "
    "those, or, of studies that narrow differently, from what is usual.",
)
@options.late(
    "--preset",
    text=lambda: f"Instead of a study: {', '.join(_presets())}; paper:3 is the first 3 steps of paper.",
)
@options.file("--out", text="Write the plan as JSON.")
@click.option(
    "--storage",
    envvar="OPTUNA_STORAGE",
    show_envvar=True,
    help="Database that the study is in, such as postgresql+psycopg://user@host/db.  [default: SQLite under "
    "--home]",
)
@options.structure
@click.pass_context
def command(
    context: click.Context,
    names: tuple[str, ...],
    preset: str | None,
    out: Path | None,
    as_json: bool,
    **given: Any,
) -> None:
    """Select a plan from a study or a preset, and show what it merges."""
    if context.invoked_subcommand is not None:
        return
    if bool(names) == (preset is not None):
        raise BadInputError("give either --study NAME or --preset NAME")
    found = _of_preset(preset, given) if preset else _of_studies(names, given)
    _answer(found, out, as_json)


def _answer(found: PlanFile, out: Path | None, as_json: bool) -> None:
    from search.results.plan_table import plan_table

    if out:
        found.save(out)
        terminal.note(f"plan written to {out}")
    path = quote(str(out or "plan.json"))
    title = "Next:" if out else "Next, with the plan in a file (--out plan.json):"
    command = f"train --plan {path} --epochs 10 --out runs/merged"
    trust = trusting(found.network, found.metric)
    if found.setup is None:
        command += " --data imagefolder:DIR --weights FILE"
    if found.setup and found.setup.zero_shot:
        command, trust = f"export --plan {path} --out model.onnx", trusting(found.network)
    terminal.say(
        found.model_dump(mode="json"),
        as_json,
        plan_table(found),
        next_steps(command + home_flag() + trust, title=title),
    )


def _of_preset(preset: str, given: dict[str, Any]) -> PlanFile:
    if any(given[choice] is not None and given[choice] is not False for choice in _CHOICES):
        flags = ", ".join(f"--{choice.replace('_', '-')}" for choice in _CHOICES)
        raise BadInputError(f"a preset is one plan; {flags} choose from a study: leave them out")
    from search.deploy.plans import of_preset  # with torch

    fields = ("model", "within", "input_size", "classes", "target", "home")
    return of_preset(preset, **{field: given[field] for field in fields})


def _of_studies(names: tuple[str, ...], given: dict[str, Any]) -> PlanFile:
    from search.results import selection
    from search.results.joined import front_of_all
    from search.results.planfile import PlanFile
    from search.study import recorded
    from search.study.storage import database

    studies = {name: recorded.read(name, database(given["storage"], given["home"])) for name in names}
    found = front_of_all(list(studies.values()))
    point = selection.select(found, *(given[choice] for choice in _CHOICES))
    if given["after_training"] or len(studies) > 1:
        terminal.note(f"trial {point.trial} of {point.study} {found.change_of(point)}")
    return PlanFile.of_trial(studies[point.study], point)


@command.command("show", epilog=example("plan show plan.json --svg plan.svg"))
@click.argument("path", type=_file)
@options.file("--svg", text="SVG picture to write: the network before and after.")
@options.trust
@options.home
@options.as_json
def show(path: Path, svg: Path | None, trust: bool, home: Path, as_json: bool) -> None:
    """Show a plan's network before and after, with the latency of every kernel.

    Latencies are those that are known today, whatever the plan was scored with.
    """
    from search.deploy import plans
    from search.results.plan_table import plan_table
    from search.results.plan_view import plan_answer, plan_view
    from search.results.planfile import PlanFile
    from search.results.svg import draw

    kinds.require_apart({"PATH": path, "--svg": svg})
    latencies, plan = plans.scored(PlanFile.load(path), home, trust)
    if svg:
        draw(latencies, plan, svg)
        terminal.note(f"picture written to {svg}")
    terminal.say(plan_answer(latencies, plan), as_json, plan_table(plan), plan_view(latencies, plan))


@command.command("merge", epilog=example("plan merge stem.json modules.json --out both.json"))
@click.argument("first", type=_file)
@click.argument("second", type=_file)
@options.file("--out", text="Write the plan as JSON.")
@options.trust
@options.home
@options.as_json
def merge(first: Path, second: Path, out: Path | None, trust: bool, home: Path, as_json: bool) -> None:
    """Combine two plans of one network; they must not disagree about a site."""
    from search.deploy import plans
    from search.results.planfile import PlanFile

    both = PlanFile.load(first), PlanFile.load(second)
    _answer(plans.merged(*both, home, trust), out, as_json)


@command.command("schema", epilog=example("plan schema > plan.schema.json"))
def schema() -> None:
    """Print the JSON schema of plan files."""
    from search.results.planfile import PlanFile

    click.echo(json.dumps(PlanFile.model_json_schema(), indent=2))
