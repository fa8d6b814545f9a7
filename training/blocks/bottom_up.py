"""Assembles a plan's network from learned blocks, and relearns them from bottom to top."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from torch import Tensor, fx

from merges.blocks import Block
from merges.graph import layer
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
    ending = {block.exit: block.name for block in network.blocks}

    def task(block: Block, inputs: Tensor) -> BlockTask:
        entered = teacher.before(block.name)
        return BlockTask(inputs, entered, teacher.through(ending[block.exit]), network.original(block))

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
    there; the block before those that are left out, against what the last of them gives. With a `store`,
    every relearned block is kept there, and taken from there by a pass that was interrupted.
    """
    by_name = _to_learn(merged, network, plan)
    walk = BlockRunner(merged, tasks.images, recipe.half)
    for done, name in enumerate(by_name):
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
        progress(done + 1, len(by_name))


def _to_learn(merged: fx.GraphModule, network: Network, plan: Mapping[str, str]) -> dict[str, Block]:
    """The blocks to relearn by name, from bottom to top; each with those behind it that are left out."""
    blocks = {block.name: block for block in network.blocks}
    calls = [node for node in merged.graph.nodes if str(node.target) in blocks]
    found: dict[str, Block] = {}
    for place, node in enumerate(calls):
        if _is_left_out(merged, node):
            continue
        block, last = blocks[str(node.target)], node
        for reader in calls[place + 1 :]:  # in this order, as the teacher is run only once
            if list(last.users) != [reader] or not _is_left_out(merged, reader):
                break
            last = reader
        if last is not node or not block.keeps_outputs(block.choices(plan)):
            found[block.name] = replace(block, exit=blocks[str(last.target)].exit)
    return found


def _is_left_out(merged: fx.GraphModule, node: fx.Node) -> bool:
    """Whether nothing of a block is left: it gives what it is given."""
    block = layer(merged, node)
    return isinstance(block, fx.GraphModule) and len(block.graph.nodes) == 2
