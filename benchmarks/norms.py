"""What norms bring to networks that were trained with them, and the blocks' outputs beside them.

python benchmarks/norms.py CASE SETTING IMAGENETTE [PASSES] [HOME]

The kept plan of `ours` of a case of ``rivals.py``, e.g. ``googlenet 2``, is trained without norms, with them,
and with them but without the outputs of the teacher's blocks; top-1 on the test images. The teacher is of
the case, and made where HOME lacks it. Some seven minutes of one core a training of 12 passes.
"""

import copy
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.rival_cases import CASES, OURS, Bench, Cell, share  # noqa: E402
from benchmarks.rivals import RESULTS  # noqa: E402
from search.commands import terminal  # noqa: E402
from search.deploy.train import Training, bottom_up  # noqa: E402
from search.results.planfile import PlanFile  # noqa: E402
from training.finetune import norms  # noqa: E402

_RATE = 0.012
_WAYS = {
    "without norms": (False, True),
    "norms": (True, True),
    "norms, answers and labels alone": (True, False),
}


def main() -> None:
    case, setting, data, *rest = sys.argv[1:]
    passes = int(rest[0]) if rest else CASES[case].passes
    home = Path(rest[1]) if len(rest) > 1 else ROOT / "studies/rivals"
    with terminal.bars() as watch:
        made = Bench(CASES[case], data, home, RESULTS / case / "plans", watch)
        network, images = made.bench.network, made.bench.data.train
        plan = PlanFile.load(made.plans / f"ours-{setting}.json").fitted(network)
        blocks = [block.name for block in network.blocks if block.choices(plan)]
        cell = Cell(case, OURS, float(setting), 0)
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            start = bottom_up(made.bench, plan, Training(passes), folder / "start", made.session)
            for name, (normed, guided) in _WAYS.items():
                merged = copy.deepcopy(start)
                if normed:
                    norms.put(merged, made.bench.inputs(images))
                made.trained(merged, cell, folder / name, _RATE, passes, blocks if guided else ())
                norms.fold(merged)
                print(f"{case}, {setting}: {name}: {share(made.right(merged, made.bench.data.test)):.2f} %")


if __name__ == "__main__":
    main()
