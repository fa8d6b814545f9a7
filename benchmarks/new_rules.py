"""Searches with and without the rules for today's networks (an hour a network and seed).

python benchmarks/new_rules.py IMAGENETTE [--networks resnet18,mobilenet_v2] [--seeds 0,1,2] [--trials 60]

Teachers are trained from scratch on Imagenette at 64 pixels. Shown: the hypervolume of both fronts as a share
of the area below the untouched network, and how many plans on the front with the new rules use each rule.
"""

import argparse
import sys
from collections import Counter
from pathlib import Path

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

import rebirth  # noqa: E402
from search.commands import terminal  # noqa: E402
from search.results.points import hypervolume  # noqa: E402
from search.study import recorded  # noqa: E402
from training.progress import Watch  # noqa: E402
from training.workbench import structure  # noqa: E402

NEW = ("width", "gate", "activation", "norm", "shift", "depthwise", "skip")


def searched(
    given: argparse.Namespace, network: str, seed: int, skip: tuple[str, ...], watch: Watch
) -> rebirth.Study:
    """A study of so many trials, without the sites that `skip` names."""
    return rebirth.search(
        home=given.home,
        note=terminal.note,
        watch=watch,
        model=network,
        data=f"imagefolder:{given.folder}",
        input_size=64,
        target=given.target,
        budget=given.trials,
        seed=seed,
        skip=skip,
        teacher_epochs=given.teacher_epochs,
        max_images=given.max_images,
        name=f"{network}-{seed}-{'without' if skip else 'with'}",
    )


def rules_on_front(study: rebirth.Study) -> str:
    """How many plans on the front use each rule."""
    best = {point.trial for point in rebirth.front(study).points}
    trials = [trial for trial in recorded.read(study.name, study.url).trials if trial.number in best]
    used = Counter(rule for t in trials for rule in {site.partition(":")[0] for site in t.record.plan})
    return ", ".join(f"{rule} {count}" for rule, count in used.most_common())


def main() -> None:
    """Search with and without, and compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder")
    parser.add_argument("--networks", default="resnet18,mobilenet_v2")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--trials", type=int, default=60)
    parser.add_argument("--teacher-epochs", type=int, default=20)
    parser.add_argument("--max-images", type=int, default=20000)
    parser.add_argument("--target", default="raspberry-pi-4")
    parser.add_argument("--home", default=str(ROOT / "studies"))
    given = parser.parse_args()
    table = Table(title=f"{given.trials} trials on {given.target}, hypervolume in percent")
    for heading in ("network", "seed", "without", "with", "plans on the front that use"):
        table.add_column(heading, justify="left" if heading[0] in "np" else "right")
    for network in given.networks.split(","):
        sites = structure(network, 64, 10).sites
        old = tuple(f"{rule}:*" for rule in NEW if any(site.rule == rule for site in sites))
        for seed in map(int, given.seeds.split(",")):
            with terminal.bars() as watch:
                studies = [searched(given, network, seed, skip, watch) for skip in (old, ())]
            fronts = [rebirth.front(study) for study in studies]
            covered = [f"{100 * hypervolume(front.points, front.baseline):.2f}" for front in fronts]
            uses = rules_on_front(studies[1])
            table.add_row(network, str(seed), *covered, uses)
            terminal.note(f"{network}, seed {seed}: {covered}; {uses}")
    Console(width=160).print(table)


if __name__ == "__main__":
    main()
