"""Runs a network over all images part by part, to see what flows between its blocks."""

from collections.abc import Collection

import torch
from torch import Tensor, fx

from training.metrics import BATCH


class BlockRunner:
    """A network being run over all images; only values that are still needed are kept.

    Parts must be run in the network's order. What is ahead may be changed meanwhile, and affects
    everything after it.

    Parameters
    ----------
    network : traced
    inputs : (n, 3, height, width)
    half : whether to run and to keep what flows in bfloat16
    """

    def __init__(self, network: fx.GraphModule, inputs: Tensor, half: bool = False) -> None:
        self.network = network
        self.interpreter = fx.Interpreter(network, garbage_collect_values=False)
        self.nodes = list(network.graph.nodes)
        self.calls = {str(n.target): i for i, n in enumerate(self.nodes) if n.op == "call_module"}
        self.last_use = {source: i for i, node in enumerate(self.nodes) for source in node.all_input_nodes}
        self.values = {node: inputs for node in self.nodes if node.op == "placeholder"}
        # Values whose first dimension does not count the images, by the batch's first image.
        self.parted: dict[fx.Node, dict[int, Tensor]] = {}
        self.count, self.half, self.done = len(inputs), half, 0

    def before(self, module: str) -> Tensor:
        """Run everything before a submodule; returns its inputs."""
        self.run(self.calls[module])
        return self.values[self.nodes[self.calls[module]].all_input_nodes[0]]

    def through(self, module: str) -> Tensor:
        """Run everything up to and including a submodule; returns its output."""
        here = self.calls[module]
        return self.run(here + 1, (self.nodes[here].name,))[self.nodes[here].name]

    @torch.no_grad()
    def run(self, end: int, keep: Collection[str] = ()) -> dict[str, Tensor]:
        """Run the nodes up to number `end`; returns the values of those named in `keep`."""
        part = [n for n in self.nodes[self.done : end] if n.op not in ("placeholder", "get_attr")]
        live = [n for n in part if n.name in keep or self.last_use.get(n, 0) >= end]
        constants = [node for node in self.nodes if node.op == "get_attr"]
        made: dict[fx.Node, Tensor] = {}
        parted: dict[fx.Node, dict[int, Tensor]] = {}
        for start in range(0, self.count, BATCH):
            rows = slice(start, start + BATCH)
            with torch.autocast("cpu", torch.bfloat16, enabled=self.half):
                values = {node: whole[rows] for node, whole in self.values.items()}
                values |= {node: parts[start] for node, parts in self.parted.items()}
                self.interpreter.env = values
                values |= {node: self.interpreter.run_node(node) for node in constants}
                for node in part:
                    self._step(node, values, live)
            for node in live:
                value = values[node].bfloat16() if self.half else values[node]
                if node.meta.get("per_image", True):
                    made.setdefault(node, value.new_empty(self.count, *value.shape[1:]))[rows] = value
                else:
                    parted.setdefault(node, {})[start] = value
        self.values |= made
        self.parted |= parted
        kept = {node.name: value for node, value in self.values.items() if node.name in keep}
        self.values = {node: v for node, v in self.values.items() if self.last_use.get(node, 0) >= end}
        self.parted = {node: v for node, v in self.parted.items() if self.last_use.get(node, 0) >= end}
        self.done = end
        return kept

    def _step(self, node: fx.Node, values: dict[fx.Node, Tensor], live: Collection[fx.Node]) -> None:
        """Run one node for a batch, and drop values that nothing reads any more."""
        values[node] = self.interpreter.run_node(node)
        for source in node.all_input_nodes:
            if source not in live and self.nodes[self.last_use[source]] is node:
                values.pop(source, None)


def walk(network: fx.GraphModule, inputs: Tensor, keep: Collection[str]) -> dict[str, Tensor]:
    """Values of the nodes in `keep` (which may include ``"output"``) for all images."""
    steps = BlockRunner(network, inputs)
    return steps.run(len(steps.nodes), keep)
