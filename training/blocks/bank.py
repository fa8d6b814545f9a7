"""The bank: learned blocks on disk, shared by all plans with the same choices in a block.

One file an entry, with its error curve and cost, under the fingerprints of the network's weights and of
the images, named by block, choices and recipe. Files are written in one step: two processes that learn the
same entry at once both end with a whole one.
"""

import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property

from torch import Tensor, fx

from merges.blocks import Block
from merges.network import Network
from training.blocks.distill import learn_block
from training.blocks.runner import walk
from training.blocks.task import BlockTask, Recipe
from training.files import digest
from training.store import WeightStore, weights_of

_ENERGY_IMAGES = 32


@dataclass(frozen=True)
class Entry:
    """Learned weights of one block, its held-out error after each stage, and the time it took.

    If every choice is exact, nothing is learned and the error is 0.
    """

    weights: dict[str, Tensor]
    errors: list[float]
    seconds: float


class Bank:
    """Learns each block when it is first needed.

    Parameters
    ----------
    images : (n, 3, height, width) preprocessed images to learn on; their labels are not used
    store : where learned blocks are kept
    data : fingerprint of the images
    """

    def __init__(
        self, network: Network, images: Tensor, store: WeightStore, data: str, recipe: Recipe
    ) -> None:
        self.network = network
        self.images = images[: recipe.images]
        self.recipe = recipe
        self.store = store
        self.folder = f"{network.weights_fingerprint}-{data}"
        self.skeleton = network.skeleton()
        self._teachers: dict[Block, fx.GraphModule] = {}
        self._energies: dict[str, dict[str, Tensor]] = {}

    @cached_property
    def features(self) -> dict[str, Tensor]:
        """The teacher's features at every entry and exit of a block, by node."""
        names = {name for block in self.network.blocks for name in (block.entry, block.exit)}
        spliced = {block.name: block.exit for block in self.network.blocks}
        nodes = {node.name: spliced.get(str(node.target), node.name) for node in self.skeleton.graph.nodes}
        kept = walk(
            self.skeleton,
            self.images,
            keep=[n for n, original in nodes.items() if original in names],
        )
        return {nodes[name]: value for name, value in kept.items() if name in nodes}

    def task(self, block: Block, inputs: Tensor | None = None) -> BlockTask:
        """The block's learning task; on the teacher's features unless other inputs are given."""
        entered = self.features[block.entry]
        if block not in self._teachers:
            self._teachers[block] = self.network.original(block)
        given, wanted = entered if inputs is None else inputs, self.features[block.exit]
        return BlockTask(given, entered, wanted, self._teachers[block])

    def energies(self, block: Block) -> dict[str, Tensor]:
        """Mean square of every channel inside the teacher's block, by node."""
        if block.name not in self._energies:
            task = self.task(block)
            names = [node.name for node in task.teacher.graph.nodes if node.op != "output"]
            values = walk(task.teacher, task.teacher_inputs[:_ENERGY_IMAGES], keep=names)
            self._energies[block.name] = {
                name: value.square().mean((0, 2, 3)) for name, value in values.items() if value.ndim == 4
            }
        return self._energies[block.name]

    def get(self, block: Block, choices: Mapping[str, str]) -> Entry:
        """The learned block for these choices, from disk if known."""
        learned = block.learned(choices)
        name = self._name(block, learned)
        student, _ = self.network.rebuild(block, learned)
        entry = self._read(name, student.state_dict()) or self._learn(block, learned, name)
        if len(learned) == len(choices):
            return entry
        student.load_state_dict(entry.weights)
        self.network.rewrite(student, block, {s: o for s, o in choices.items() if s not in learned})
        return replace(entry, weights=weights_of(student))

    def _name(self, block: Block, choices: Mapping[str, str]) -> str:
        what = [block.name, sorted(choices.items()), asdict(self.recipe)]
        return f"{self.folder}/{block.name}-{digest(what)}"

    def _learn(self, block: Block, choices: Mapping[str, str], name: str) -> Entry:
        start = time.perf_counter()
        student, _ = self.network.rebuild(block, choices, self.energies(block))
        errors = [0.0, 0.0]
        if not block.keeps_outputs(choices):
            errors = learn_block(student, self.task(block), self.recipe)
        entry = Entry(weights_of(student), errors, time.perf_counter() - start)
        notes = {
            "block": block.name,
            "choices": json.dumps(dict(choices)),
            "errors": json.dumps(errors),
            "seconds": f"{entry.seconds:.3f}",
            "recipe": json.dumps(asdict(self.recipe)),
        }
        self.store.write(name, entry.weights, notes)
        return entry

    def _read(self, name: str, like: Mapping[str, Tensor]) -> Entry | None:
        """A stored entry; None if there is none, or it is not usable (it is learned again)."""
        found = self.store.read(name, like)
        if found is None:
            return None
        weights, notes = found
        try:
            return Entry(weights, json.loads(notes["errors"]), float(notes["seconds"]))
        except (KeyError, TypeError, ValueError):
            return None
