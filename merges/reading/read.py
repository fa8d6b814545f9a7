"""Read a network, and prove that what was read answers as it does."""

from dataclasses import dataclass

import torch
from torch import Tensor, fx, nn
from torch.export import ExportedProgram

from merges.folding import fold
from merges.graph import TraceError
from merges.reading.builder import HANDLERS
from merges.reading.canonical import canonical
from merges.reading.check import (
    check_reading,
    example_images,
    first_difference,
    in_double,
    rounding_in_double,
    worst,
)
from merges.reading.exported import constants_of, exported, unwrapped


@dataclass(frozen=True)
class Reading:
    """A network as it was exported: gives its canonical graph, and checks what was made of it.

    Weights that the network learns after it was read are those of the next graph.
    """

    name: str
    model: nn.Module
    input_shape: tuple[int, int, int]
    program: ExportedProgram

    @classmethod
    def of(cls, name: str, model: nn.Module, input_shape: tuple[int, int, int]) -> "Reading":
        """Read a network, and leave it as it was.

        Raises
        ------
        TraceError
            The network cannot be read; the message holds the reason and the place in the user's file.
        """
        inner = unwrapped(model)
        return cls(name, inner, input_shape, exported(name, inner, input_shape, HANDLERS))

    def graph(self, precision: torch.dtype = torch.float32) -> fx.GraphModule:
        """The canonical graph, with copies of the weights that the network has now.

        Raises
        ------
        TraceError
            An operation is unknown; the message holds its place in the user's file.
        """
        return canonical(self.name, self.program, self.model, precision)

    def check(self, made: fx.GraphModule, photo: Tensor | None = None) -> str:
        """Refuse a graph made of this network's (by exact rewrites) that answers differently.

        Parameters
        ----------
        photo : a preprocessed image (channels, height, width) to ask both; None takes smooth noise

        Returns
        -------
        what to tell the user, empty where there is nothing

        Raises
        ------
        TraceError
            The answers differ, and the message names the first layer that does; or the network's own answers
            are not usable (see ``check_reading``).
        """
        error = check_reading(self.name, self.model, made, self.input_shape, photo)
        if not error:
            return ""
        if self.error_in_double() <= rounding_in_double(self.model, example_images(self.input_shape, 2)):
            return f"single precision rounds {self.name}'s answers by up to {error:.1e} of their scale"
        again = self.graph()
        constants = constants_of(self.program)
        images = example_images(self.input_shape, 2)
        placed = [constants.get(n.name, images) for n in self.program.graph.nodes if n.op == "placeholder"]
        flat = fx.GraphModule(self.program.graph_module, self.program.graph)
        where = first_difference(again, flat, placed, images) or "a norm or scale that was folded"
        raise TraceError(f"{self.name} was read wrongly: answers differ by {error:.1e}, first at {where}")

    def error_in_double(self) -> float:
        """How far the graph, read and folded in double precision, is from the network in it, as a share of
        the answers' scale; infinite where there is no such network.
        """
        images = example_images(self.input_shape, 2)
        wanted = in_double(self.model, images)
        exact = self.graph(torch.float64).double()
        fold(exact, self.input_shape)
        got = None if wanted is None else in_double(exact, images)
        return float("inf") if wanted is None or got is None else worst(got, wanted)
