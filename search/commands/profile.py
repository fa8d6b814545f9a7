"""The ``profile`` command."""

from pathlib import Path
from typing import Any

import click

from search import report
from search.commands import options
from search.latency import Device, Latencies
from search.setup import structure


@click.command("profile", epilog="Example: python cli.py profile --model alexnet --target arm-a57 --by-layer")
@click.option("--by-layer", is_flag=True, help="Measure no more than the untouched network needs.")
@options.structure
def command(by_layer: bool, target: str, home: Path, as_json: bool, **given: Any) -> None:
    """Latency of a network, layer by layer.

    Without --by-layer, a target on this machine (host) is measured now: every kernel that any plan of
    the network can reach.
    """
    device = Device.named(target, home)
    latencies = Latencies(structure(given["model"], given["input_size"], given["classes"]), device)
    with report.bars() as watch:
        if not by_layer:
            count = latencies.learn_all(watch, again=True)
            report.note(
                f"{count} kernels measured now, kept in {device.path}"
                if count
                else f"{target} has a shipped table: nothing is measured here"
            )
        rows = latencies.by_layer()
    answer = {
        "network": given["model"],
        "target": target,
        "total_ms": sum(latency.us for _, latency in rows) / 1000,
        "layers": [
            {
                "name": layer.name,
                "op": layer.kernel.op,
                "latency_ms": latency.us / 1000,
                "kind": latency.kind,
                "error": latency.error,
                "kernel": layer.kernel.key,
            }
            for layer, latency in rows
        ],
    }
    options.say(answer, as_json, report.layers_table(answer, device.describe(latencies.score({}).total)))
