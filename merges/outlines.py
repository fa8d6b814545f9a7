"""Blocks after choices, without weights: quick, where only the structure matters."""

import copy
import functools
from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import fx

from merges.blocks import Block
from merges.graph import extract, without_weights

if TYPE_CHECKING:
    from merges.network import Network

_KEPT = 64  # what can be made of choices is soon scored too
Outline = tuple[fx.GraphModule, dict[str, str]]


class Outlines:
    """Rebuilds blocks of a network on the meta device; the latest are kept, and must not be changed."""

    def __init__(self, network: "Network") -> None:
        self._network = network
        bare = without_weights(network.teacher)
        self._blocks = {block.name: extract(bare, block.entry, block.exit) for block in network.blocks}
        self._made = functools.lru_cache(_KEPT)(self._make)
        self._possible: dict[tuple[str, frozenset[tuple[str, str]]], dict[str, str]] = {}

    def of(self, block: Block, choices: Mapping[str, str]) -> Outline:
        """As ``Network.rebuild``: the block, and those of the choices that could be made."""
        return self._made(block, frozenset(choices.items()))

    def _make(self, block: Block, choices: frozenset[tuple[str, str]]) -> Outline:
        with torch.device("meta"):
            outline = copy.deepcopy(self._blocks[block.name])
            return outline, self._network.rewrite(outline, block, dict(choices))

    def possible(self, block: Block, choices: Mapping[str, str]) -> dict[str, str]:
        """Those of the choices that can be made together in a block."""
        key = block.name, frozenset(choices.items())
        if key not in self._possible:
            self._possible[key] = self.of(block, choices)[1] if len(choices) > 1 else dict(choices)
        return self._possible[key]
