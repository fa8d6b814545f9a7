"""Assembles a plan's network from learned blocks, and relearns them from bottom to top."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from torch import Tensor, fx

from merges.blocks import Block
from merges.network import Network
from training.blocks.bank import Bank
from training.blocks.distill import learn_block
from training.blocks.runner import BlockRunner
from training.blocks.task import BlockTask, Recipe
from training.progress import Progress, quiet
from training.store import WeightStore, weights_of


@dataclass(frozen=True)
class BlockTasks:
    """The learning tasks of a network's blocks: `of` gives a block's, for its inputs made of `images`."""

    images: Tensor
    of: Callable[[Block, Tensor], BlockTask]


def assemble(bank: Bank, plan: Mapping[str, str], steps: int = 0) -> fx.GraphModule:
    """Assemble a plan's network from learned blocks; with `steps`, relearn them on the bank's images."""
    network = bank.network
    changed = [block for block in network.blocks if block.choices(plan)]
    entries = {block.name: bank.get(block, block.choices(plan)).weights for block in changed}
    merged = network.merged(plan, entries)
    if steps:
        recipe = replace(bank.recipe, steps=steps)
        relearn(merged, network, plan, BlockTasks(bank.images, bank.task), recipe)
    return merged


def following(network: Network, images: Tensor, half: bool) -> BlockTasks:
    """Make the learning tasks of blocks, running the teacher from bottom to top."""
    teacher = BlockRunner(network.skeleton(), images, half)

    def task(block: Block, inputs: Tensor) -> BlockTask:
        original = teacher.network.get_submodule(block.name)
        assert isinstance(original, fx.GraphModule)
        return BlockTask(inputs, teacher.before(block.name), teacher.through(block.name), original)

    return BlockTasks(images, task)


def relearn(
    merged: fx.GraphModule,
    network: Network,
    plan: Mapping[str, str],
    tasks: BlockTasks,
    recipe: Recipe,
    progress: Progress = quiet,
    store: WeightStore | None = None,
) -> None:
    """Relearn every merged block once, from bottom to top, in place.

    Blocks learned alone are fed the teacher's features; stacked, their errors pile up. So every block learns
    on what the merged network below it really gives for the images, against what the teacher's block gives
    there. With a `store`, every relearned block is kept there, and taken from there by a pass that was
    interrupted.
    """
    learned = [block for block in network.blocks if not block.keeps_outputs(block.choices(plan))]
    by_name = {block.name: block for block in learned}
    names = [str(n.target) for n in merged.graph.nodes if n.op == "call_module" and str(n.target) in by_name]
    walk = BlockRunner(merged, tasks.images, recipe.half)
    for done, name in enumerate(names):
        student = merged.get_submodule(name)
        assert isinstance(student, fx.GraphModule)
        kept = f"{name}-{recipe.digest}"
        known = store.read(kept, student.state_dict()) if store else None
        if known:
            student.load_state_dict(known[0])
        else:
            learn_block(student, tasks.of(by_name[name], walk.before(name)), recipe)
            if store:
                store.write(kept, weights_of(student))
        progress(done + 1, len(names))
