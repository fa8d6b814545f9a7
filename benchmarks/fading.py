"""What fading merges in brings, beside merging at once: what is dropped is heard ever less while it learns.

python benchmarks/fading.py CASE METHOD SETTING IMAGENETTE SEED PASSES [HOME]

A kept plan of a case of ``rivals.py``, e.g. ``googlenet merged 2.6``. Its blocks are learned as usual. Then,
in the first PASSES of the case's passes, every merged block gives a mixture of what the block as it was makes
and of what the merged one does: at first the one alone, at last the other. Both learn. The network merged at
once is the cell of that plan and seed. Some 15 minutes of one core.
"""

import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, fx, nn

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.rival_cases import CASES, Bench, Cell, share  # noqa: E402
from benchmarks.rivals import RESULTS  # noqa: E402
from merges.network import Network  # noqa: E402
from merges.plan import Plan  # noqa: E402
from search.commands import terminal  # noqa: E402
from search.deploy.train import Training, bottom_up  # noqa: E402
from search.results.planfile import PlanFile  # noqa: E402
from training.finetune import norms  # noqa: E402
from training.finetune.fit import Fit  # noqa: E402

_RATE = 0.012


class Fading(nn.Module):
    """A block on its way from what it was to what it becomes, which it is after so many steps."""

    step: Tensor

    def __init__(self, was: nn.Module, becomes: nn.Module, steps: int) -> None:
        super().__init__()
        self.was, self.becomes, self.steps = was, becomes, steps
        self.register_buffer("step", torch.zeros((), dtype=torch.long))

    def forward(self, *inputs: Tensor) -> Tensor:
        new = min(1.0, float(self.step) / self.steps)
        if self.training:
            self.step += 1
        made: Tensor = self.becomes(*inputs)
        return made if new == 1 else new * made + (1 - new) * self.was(*inputs)


def main() -> None:
    name, method, setting, data, seed, passes, *rest = sys.argv[1:]
    case, home = CASES[name], Path(rest[0]) if rest else ROOT / "studies/rivals"
    cell = Cell(name, method, float(setting), int(seed))
    with terminal.bars() as watch, tempfile.TemporaryDirectory() as folder:
        made = Bench(case, data, home, RESULTS / name / "plans", watch)
        found = PlanFile.load(made.plans / f"{method}-{setting}.json")
        bench = made.bench_of(found)
        bench = replace(bench, setup=bench.setup.model_copy(update={"seed": cell.seed}))
        network, train = bench.network, bench.data.train
        plan = found.fitted(network)
        training = Training(case.passes, with_labels=True, rate=_RATE, augment=True)
        merged = bottom_up(bench, plan, training, Path(folder, "relearned"), made.session)
        fading = _fading(merged, network, plan, int(passes) * -(-len(train) // Fit.batch))
        norms.put(merged, bench.inputs(train))
        made.trained(merged, cell, Path(folder), _RATE)
        for block in fading:
            merged.set_submodule(block, merged.get_submodule(f"{block}.becomes"))
        norms.fold(merged)
        top1 = share(made.right(merged, bench.data.test))
        print(f"{name}, {method} {setting}, seed {seed}, faded in within {passes} passes: {top1:.2f} %")


def _fading(merged: fx.GraphModule, network: Network, plan: Plan, steps: int) -> list[str]:
    """Let every merged block begin as it was, in place; the names of these blocks."""
    whole = network.skeleton()
    names = [block.name for block in network.blocks if block.choices(plan)]
    for name in names:
        becomes = merged.get_submodule(name)
        merged.set_submodule(name, Fading(whole.get_submodule(name), becomes, steps))
    return names


if __name__ == "__main__":
    main()
