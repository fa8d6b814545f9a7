"""The ``targets`` command."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from rich.table import Table

from latency_models import target
from search.called import example
from search.commands import options, terminal
from training.errors import BadInputError

_FIELDS = ("name", "device", "runtime", "threads", "precision", "kind", "source")


@click.group("targets", invoke_without_command=True, epilog=example("targets --json"))
@options.home
@options.as_json
@click.pass_context
def command(context: click.Context, home: Path, as_json: bool) -> None:
    """List the targets and what their latencies are based on."""
    if context.invoked_subcommand is not None:
        return
    known: list[target.Target] = []
    for name in target.names(home):
        try:
            known.append(target.load(name, home))
        except target.TargetError as wrong:
            terminal.note(f"warning: {wrong}")
    answer = [{field: asdict(spec)[field] for field in _FIELDS} | {"error": _error(spec)} for spec in known]
    table = Table(title="targets", caption="error: mean error on networks left out of the fit")
    for field in (*_FIELDS, "error"):
        table.add_column(field, overflow="fold", no_wrap=field == "name")
    for row in answer:
        error = "" if row["error"] is None else f"{100 * row['error']:.0f} %"
        table.add_row(*(str(row[field]) for field in _FIELDS), error)
    terminal.say(answer, as_json, table)


def _basis(spec: target.Target) -> str:
    """How its times are known."""
    error = _error(spec)
    return (
        spec.kind if error is None else f"{spec.kind}, +-{100 * error:.0f} % a network, single kernels more"
    )


def _error(spec: target.Target) -> float | None:
    from latency_models.predict import Predictor
    from latency_models.table import LatencyTable

    return Predictor(spec, LatencyTable()).calibration_error if spec.core else None


@command.command("diff", epilog=example("targets diff host my-board"))
@click.argument("first")
@click.argument("second")
@options.home
@options.as_json
def diff(first: str, second: str, home: Path, as_json: bool) -> None:
    """Compare two targets by the kernels that both have measured, or counted under the emulator."""
    from latency_models import compare
    from search.scoring.device import Device

    one, other = (Device.named(name, home) for name in (first, second))
    found = compare.targets(one.predictor, other.predictor)
    if not found.common:
        raise BadInputError(
            f"no kernel is known of both {first} ({len(one.predictor.known)}) and {second} "
            f"({len(other.predictor.known)}); 'profile --target NAME' measures a network's"
        )
    answer: dict[str, Any] = {"first": first, "second": second, **asdict(found)}
    table = Table(
        title=f"{second} against {first}: {found.common} kernels in both, "
        f"{found.only_first} in {first} alone, {found.only_second} in {second} alone",
        caption="; ".join(f"{device.spec.name} is {_basis(device.spec)}" for device in (one, other)),
    )
    for heading in ("op", "kernels", f"{second} / {first}, median", "least", "most"):
        table.add_column(heading, justify="left" if heading == "op" else "right")
    for row in found.by_op:
        ratios = (f"{row.median_ratio:.3f}", f"{row.least_ratio:.3f}", f"{row.most_ratio:.3f}")
        table.add_row(row.op, str(row.kernels), *ratios)
    terminal.say(answer, as_json, table)
