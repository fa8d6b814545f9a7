"""How well the latency models of ARM boards predict what it has not seen (a few seconds).

Leaves one whole network out of the fit, predicts its convolutions and all its layers, and compares with
what was measured; then the paper's hand-made GoogLeNet plan, and the share of time outside tensor layers. For
emulated targets see emulated.py. python benchmarks/latency_model.py
"""

import sys
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parents[1]))

from latency_models import target
from latency_models.build_tables import measurements, records
from latency_models.predict import Predictor, UnknownKernelError
from latency_models.table import LatencyTable, Measurement
from merges.plan import Plan
from search.results.network_tables import layers_answer
from search.scoring.device import Device
from search.scoring.latency import Latencies
from search.space import presets
from training.workbench import structure


def main() -> None:
    rows = [(network, row) for network, _, row in measurements(records("jetson-tx1", None))]
    table = Table(title="arm-a57, one network left out of the fit")
    for heading in (
        "network",
        "convolutions",
        "mean error % a convolution",
        "their total %",
        "all layers %",
        "refused",
    ):
        table.add_column(heading, justify="left" if heading == "network" else "right")
    for network in dict.fromkeys(name for name, _ in rows):
        predictor = Predictor(
            target.load("arm-a57"), LatencyTable(row for name, row in rows if name != network)
        )
        left_out = [row for name, row in rows if name == network]
        convs = [row for row in left_out if row.kernel.op == "conv"]
        predicted = np.array([predictor.latency(row.kernel).us for row in convs])
        measured = np.array([row.median_us for row in convs])
        total, refused = _everything(predictor, left_out)
        error = 100 * np.abs(predicted / measured - 1).mean()
        share = 100 * (predicted.sum() / measured.sum() - 1)
        table.add_row(
            network, str(len(convs)), f"{error:.1f}", f"{share:+.1f}", f"{total:+.1f}", refused or "-"
        )
    Console().print(table)
    latencies = Latencies(structure("bvlc_googlenet"), Device.named("arm-a57", Path("studies")))
    plan = Plan.make(latencies.network, presets.preset("paper", latencies.network))
    untouched, merged = latencies.score({}), latencies.score(plan)
    paper = Table(title="BVLC GoogLeNet on arm-a57")
    for heading in ("plan", "latency ms", "speed-up", "paper measured (Galaxy S6, same core)"):
        paper.add_column(heading)
    paper.add_row(
        "untouched", f"{untouched.latency_ms:.1f}", "1.00x", "424.7 ms (Jetson TX1, measured: 359 ms)"
    )
    paper.add_row("paper", f"{merged.latency_ms:.1f}", f"{merged.speedup:.2f}x", "107.7 ms, 3.94x")
    Console().print(paper)
    Console().print(outside_tensors())


def outside_tensors() -> Table:
    """The share of time outside convolutions and fully connected layers, as the paper's Table 1 asks."""
    table = Table(title="share of time outside convolutions and fully connected layers")
    for heading in ("network", "target", "latency ms", "share %"):
        table.add_column(heading, justify="left" if heading in ("network", "target") else "right")
    for model in ("bvlc_googlenet", "bvlc_alexnet", "squeezenet1_1"):
        for name in ("arm-a57", "rk3399-caffe-2t"):
            latencies = Latencies(structure(model), Device.named(name, Path("studies")))
            try:
                answer = layers_answer(model, name, latencies.by_layer(None))
            except UnknownKernelError:
                continue
            share = f"{100 * answer['non_tensor_share']:.1f}"
            table.add_row(model, name, f"{answer['total_ms']:.1f}", share)
    return table


def _everything(predictor: Predictor, rows: list[Measurement]) -> tuple[float, str]:
    """Error of the sum over all layers that can be predicted, and the operations that are refused."""
    known: list[tuple[float, float]] = []
    refused: set[str] = set()
    for row in rows:
        try:
            known.append((predictor.latency(row.kernel).us, row.median_us))
        except UnknownKernelError:
            refused.add(row.kernel.op)
    predicted, measured = np.array(known).sum(axis=0)
    return 100 * (predicted / measured - 1), ", ".join(sorted(refused))


if __name__ == "__main__":
    main()
