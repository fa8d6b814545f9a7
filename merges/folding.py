"""Rules that are always worth it: norms and scales go into the layer beside them."""

from torch import fx

from merges.graph import propagate_shapes, tidy
from merges.rule import Refusal, Site, Stage, discover


def fold(graph: fx.GraphModule, input_shape: tuple[int, int, int]) -> tuple[list[Site], list[Refusal]]:
    """Apply them in place until they find nothing more to do; what was folded, and what could not be."""
    rules = [rule for rule in discover().values() if rule.stage is Stage.ALWAYS]
    folded: list[Site] = []
    propagate_shapes(graph, (1, *input_shape))
    while True:
        refused: list[Refusal] = []
        before = len(folded)
        for rule in rules:
            so_far = len(folded)
            for found in rule.find(graph):
                if isinstance(found, Refusal):
                    refused.append(found)
                elif rule.apply(graph, found, found.options[-1]):
                    folded.append(found)
            if len(folded) > so_far:
                tidy(graph)
                propagate_shapes(graph, (1, *input_shape))
        if len(folded) == before:
            return folded, refused
