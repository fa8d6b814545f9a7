"""Tables of a network: its sites, its refusals, its kernels."""

from collections.abc import Sequence
from typing import Any

from rich.table import Table

from latency_models.kernel import Layer
from latency_models.predict import Latency
from search.space.listing import Listing

_TENSOR_OPS = ("conv", "linear")


def sites_table(listing: Listing) -> Table:
    """Every site and option, with the latency if it alone is chosen."""
    network = listing.network
    table = Table(
        title=f"{network.name} {'x'.join(map(str, network.input_shape))} on {listing.target}: "
        f"{listing.baseline_latency_ms:.2f} ms untouched, {len(network.folded)} norms folded for free",
        caption=f"latency: {listing.basis}",
    )
    for heading in ("site", "option", "latency ms", "speed-up"):
        table.add_column(heading, justify="right" if "-" in heading or "ms" in heading else "left")
    for site in network.sites:
        for number, (option, ms) in enumerate(listing.options[site.id].items()):
            ratio = f"{listing.baseline_latency_ms / ms:.3f}x"
            table.add_row(site.id if number == 0 else "", option, f"{ms:.2f}", ratio)
    return table


def refused_table(listing: Listing) -> Table:
    """Places that look like sites but are not."""
    table = Table(title="refused")
    for heading in ("rule", "layers", "reason"):
        table.add_column(heading)
    for refusal in listing.network.refused:
        table.add_row(refusal.rule, ", ".join(refusal.nodes), refusal.reason)
    return table


def layers_answer(network: str, target: str, rows: Sequence[tuple[Layer, Latency]]) -> dict[str, Any]:
    """The ``--json`` form of a profile: every kernel with its kind and error, sums by operation."""
    total_us = sum(latency.us for _, latency in rows)
    by_op: dict[str, float] = {}
    for layer, latency in rows:
        by_op[layer.kernel.op] = by_op.get(layer.kernel.op, 0.0) + latency.us
    return {
        "network": network,
        "target": target,
        "total_ms": total_us / 1000,
        "error": sum(latency.us * latency.error for _, latency in rows) / max(total_us, 1e-9),
        "share_by_op": {op: us / max(total_us, 1e-9) for op, us in by_op.items()},
        "non_tensor_share": 1 - sum(by_op.get(op, 0.0) for op in _TENSOR_OPS) / max(total_us, 1e-9),
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


def layers_table(answer: dict[str, Any], basis: str) -> Table:
    """Every kernel of the untouched network."""
    table = Table(
        title=f"{answer['network']} on {answer['target']}: {answer['total_ms']:.2f} ms "
        f"+-{100 * answer['error']:.0f} %, {100 * answer['non_tensor_share']:.1f} % of it outside "
        "convolutions and fully connected layers",
        caption=f"latency: {basis}",
    )
    for heading in ("layer", "op", "latency ms", "share %", "kind"):
        table.add_column(heading, justify="right" if heading in ("latency ms", "share %") else "left")
    for row in answer["layers"]:
        share = 100 * row["latency_ms"] / answer["total_ms"]
        table.add_row(row["name"], row["op"], f"{row['latency_ms']:.3f}", f"{share:.1f}", row["kind"])
    return table
