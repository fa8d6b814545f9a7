"""What norms and larger steps bring to full training where there are few labelled photos.

python benchmarks/few_labels.py IMAGENETTE PLAN... [--home HOME]

Plans kept by ``rivals.py`` of GoogLeNet, e.g. ``merged-2.3``, trained for 10 passes over 1,000 photos with
labels; top-1 on the test images. The teacher is the case's, and made where HOME lacks it. Six minutes of one
core a plan.
"""

import argparse
import copy
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.rival_cases import CASES, Bench, share  # noqa: E402
from benchmarks.rivals import RESULTS  # noqa: E402
from search.commands import terminal  # noqa: E402
from search.deploy.train import Training, bottom_up  # noqa: E402
from search.results.planfile import PlanFile  # noqa: E402
from training.finetune import norms  # noqa: E402
from training.finetune.fit import Fit, Inputs, Log, fit  # noqa: E402
from training.finetune.objectives import Distillation  # noqa: E402

_PHOTOS, _PASSES = 1000, 10
_WAYS = {  # norms, steps, the outputs of the teacher's blocks
    "steps of 0.001, blocks' outputs": (False, 1e-3, True),
    "norms, steps of 0.012": (True, 1.2e-2, False),
    "norms, steps of 0.012, blocks' outputs": (True, 1.2e-2, True),
    "norms, steps of 0.004, blocks' outputs": (True, 4e-3, True),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("plans", nargs="+")
    parser.add_argument("--home", type=Path, default=ROOT / "studies/rivals")
    given = parser.parse_args()
    with terminal.bars() as watch:
        made = Bench(CASES["googlenet"], given.data, given.home, RESULTS / "googlenet" / "plans", watch)
        for name in given.plans:
            _try(made, name)


def _try(made: Bench, name: str) -> None:
    """Train a kept plan in every way, from one start."""
    kept = PlanFile.load(made.plans / f"{name}.json")
    bench = made.bench_of(kept)
    network, train = bench.network, bench.data.train
    plan = kept.fitted(network)
    blocks = [block.name for block in network.blocks if block.choices(plan)]
    with tempfile.TemporaryDirectory() as folder:
        start = bottom_up(bench, plan, Training(_PASSES), Path(folder), made.session)
        print(f"{name}: before, {share(made.right(start, bench.data.test)):.2f} %")
        for way, (normed, rate, guided) in _WAYS.items():
            merged = copy.deepcopy(start)
            if normed:
                norms.put(merged, bench.inputs(train))
            answering = None if network.wide is None else copy.deepcopy(network.untouched)
            objective = Distillation(
                network.skeleton(), blocks if guided else (), rate, labels=train.labels, answering=answering
            )
            inputs = Inputs(bench.changed, _PHOTOS, train.labels)
            fit(merged, objective, inputs, Fit(_PASSES), Log(Path(folder) / way, made.watch))
            norms.fold(merged)
            print(f"{name}: {way}: {share(made.right(merged, bench.data.test)):.2f} %", flush=True)


if __name__ == "__main__":
    main()
