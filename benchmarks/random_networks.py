"""Random networks, read and merged with every option: do they answer as they should?

python benchmarks/random_networks.py [--count 500] [--seed 0] [--parts 5] --out FILE.jsonl

A network follows from its seed alone. Its graph and every exact option must answer as it does; every learned
option and a random plan must build, run and give the right shape; the plan must export to a file that agrees,
and be read again. The file holds a line for each seed; run again, those that it has are left out.
500 networks take an hour on one core.
"""

import argparse
import json
import sys
import tempfile
import time
import warnings
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from merges.graph import TraceError  # noqa: E402
from merges.network import analyse  # noqa: E402
from tests.merges.random_checks import (  # noqa: E402
    TOLERANCE,
    error_of,
    images_for,
    place_of,
    random_plan,
    wrong_export,
    wrong_options,
)
from tests.merges.random_networks import SHAPE, random_network  # noqa: E402


def seeds_of(seed: int, parts: int) -> list[int]:
    """The seeds of a network's parts."""
    r = Random(seed)
    return [r.randrange(2**32) for _ in range(r.randint(1, parts))]


def looked_at(seed: int, parts: int) -> dict[str, Any]:
    """Everything that is found about one network."""
    model = random_network(seeds_of(seed, parts))
    images = images_for(SHAPE)
    found: dict[str, Any] = {"read": True, "sites": {}, "folded": 0, "wrong": []}
    try:
        network = analyse(f"random_{seed}", model, SHAPE)
    except TraceError as error:
        return found | {"read": False, "reason": str(error)}
    found["sites"] = dict(Counter(site.rule for site in network.sites))
    found["folded"] = len(network.folded)
    distance = error_of(network.teacher, model, images)
    found["wrong"] += [f"graph: {distance:.1e}"] if distance > TOLERANCE else []
    found["wrong"] += wrong_options(network, model, images, learned=True)
    plan = random_plan(network, Random(seed))
    with tempfile.TemporaryDirectory() as home:
        wrong = wrong_export(network.merged(plan), images, Path(home) / "merged.onnx")
    found["wrong"] += [f"{what} with {plan}" for what in wrong]
    return found


def line_of(seed: int, parts: int) -> dict[str, Any]:
    start = time.perf_counter()
    try:
        found = looked_at(seed, parts)
    except Exception as error:
        found = {"traceback": f"{type(error).__name__}: {str(error)[:600]} {place_of(error)}"}
    return {"seed": seed, "parts": parts, **found, "seconds": round(time.perf_counter() - start, 1)}


def show(lines: list[dict[str, Any]]) -> None:
    """The final table: how many, and what went wrong."""
    sites: Counter[str] = Counter()
    for line in lines:
        sites.update(line.get("sites", {}))
    table = Table("rule", "sites", title=f"{len(lines)} random networks")
    for rule, count in sorted(sites.items()):
        table.add_row(rule, str(count))
    console = Console(width=200)
    console.print(table)
    for line in lines:
        what = line.get("traceback") or line.get("reason") or line["wrong"]
        if what:
            console.print(f"{line['seed']}: {what}", markup=False)
    refused, tracebacks = (sum(key in line for line in lines) for key in ("reason", "traceback"))
    wrong = sum(bool(line.get("wrong")) for line in lines)
    print(f"{len(lines)} networks: {refused} refused, {wrong} wrong, {tracebacks} tracebacks")


def main() -> None:
    warnings.simplefilter("ignore")
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0, help="the first of the seeds")
    parser.add_argument("--parts", type=int, default=5, help="most parts of a network, each of some layers")
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    torch.set_num_threads(1)
    lines = [json.loads(line) for line in given.out.read_text().splitlines()] if given.out.exists() else []
    done = {(line["seed"], line["parts"]) for line in lines}
    seeds = range(given.seed, given.seed + given.count)
    for seed in (seed for seed in seeds if (seed, given.parts) not in done):
        line = line_of(seed, given.parts)
        lines.append(line)
        with given.out.open("a") as file:
            file.write(json.dumps(line) + "\n")
        what = line.get("traceback") or line.get("reason") or line["wrong"] or "right"
        print(f"{seed - given.seed + 1}/{given.count} {line['seconds']:.1f} s: {what}", flush=True)
    show(lines)


if __name__ == "__main__":
    main()
