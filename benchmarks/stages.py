"""What merging in two stages brings, beside merging all at once: the paper's way, cut short.

python benchmarks/stages.py CASE SETTING IMAGENETTE SEED FIRST [HOME]

The kept plan of `ours` of a case of ``rivals.py``, e.g. ``mobilenet_v2 3.4``. First every second of its
blocks is merged and the network is trained for FIRST passes; then the others learn from
bottom to top what their blocks do in that network, and all are trained for the passes that are left. The
network merged at once is the cell of that plan and seed. Some 20 minutes of one core.
"""

import copy
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from torch import Tensor, fx, nn

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.rival_cases import CASES, OURS, Bench, Cell, share  # noqa: E402
from benchmarks.rivals import RESULTS  # noqa: E402
from merges.blocks import Block  # noqa: E402
from merges.network import Network  # noqa: E402
from merges.plan import Plan  # noqa: E402
from search.commands import terminal  # noqa: E402
from search.deploy.train import Training, trained_network  # noqa: E402
from search.results.planfile import PlanFile  # noqa: E402
from training.blocks.bottom_up import BlockTasks, relearn  # noqa: E402
from training.blocks.runner import BlockRunner  # noqa: E402
from training.blocks.task import BlockTask  # noqa: E402
from training.finetune import norms  # noqa: E402
from training.progress import quiet  # noqa: E402

_RATE = 0.012


def main() -> None:
    name, setting, data, seed, first, *rest = sys.argv[1:]
    case, home = CASES[name], Path(rest[0]) if rest else ROOT / "studies/rivals"
    with terminal.bars() as watch:
        made = Bench(case, data, home, RESULTS / name / "plans", watch)

        def tell(what: str, network: nn.Module) -> None:
            print(f"{name}, {setting}, seed {seed}, {what}: {share(made.right(network, images.test)):.2f} %")

        bench = replace(made.bench, setup=made.setup.model_copy(update={"seed": int(seed)}))
        network, images = bench.network, bench.data
        plan = PlanFile.load(made.plans / f"{OURS}-{setting}.json").fitted(network)
        now = [block for block in network.blocks if block.choices(plan)][::2]
        begun = Plan.make(network, {site: o for block in now for site, o in block.choices(plan).items()})
        training = Training(int(first), with_labels=True, rate=_RATE, augment=True)
        with tempfile.TemporaryDirectory() as folder:
            half, _ = trained_network(bench, begun, training, Path(folder), made.session)
            tell("every second block", half)
            merged = _merged_on(half, network, plan, now)
            recipe = training.relearning(len(images.train), int(seed))
            views = bench.views(recipe, quiet)
            others = {site: option for site, option in plan.items() if site not in begun}
            relearn(merged, _trained_on(network, half, now), others, _tasks(half, network, views), recipe)
            tell("all blocks, before they are trained", merged)
            norms.put(merged, bench.inputs(images.train))
            cell = Cell(name, OURS, float(setting), int(seed))
            made.trained(merged, cell, Path(folder, "all"), _RATE, case.passes - training.epochs)
            norms.fold(merged)
        tell("all blocks, trained", merged)


def _trained_on(network: Network, half: fx.GraphModule, merged: list[Block]) -> Network:
    """The network with the weights that the first stage gave to what it did not merge."""
    teacher, done = copy.deepcopy(network.teacher), {block.name for block in merged}
    weights = dict(teacher.state_dict())
    for block in network.blocks:
        if block.name not in done:
            weights |= half.get_submodule(block.name).state_dict()
    inside = tuple(f"{block.name}." for block in network.blocks)
    weights |= {name: weight for name, weight in half.state_dict().items() if not name.startswith(inside)}
    teacher.load_state_dict(weights)
    return replace(network, teacher=teacher)


def _merged_on(half: fx.GraphModule, network: Network, plan: Plan, merged: list[Block]) -> fx.GraphModule:
    """A plan's network, from the first stage's weights."""
    made = _trained_on(network, half, merged).merged(plan)
    for block in merged:
        made.set_submodule(block.name, copy.deepcopy(half.get_submodule(block.name)))
    return made


def _tasks(half: fx.GraphModule, network: Network, images: Tensor) -> BlockTasks:
    """What the blocks do in the first stage's network, for others to learn."""
    running = BlockRunner(half, images)
    names = {block.exit: block.name for block in network.blocks}

    def task(block: Block, inputs: Tensor) -> BlockTask:
        entered, taught = running.before(block.name), half.get_submodule(block.name)
        assert isinstance(taught, fx.GraphModule)
        return BlockTask(inputs, entered, running.through(names[block.exit]), copy.deepcopy(taught))

    return BlockTasks(images, task)


if __name__ == "__main__":
    main()
