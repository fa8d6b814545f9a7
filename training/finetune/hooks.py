"""Records outputs of submodules while a network runs."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager

from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle


@contextmanager
def hooked_outputs(model: nn.Module, names: Collection[str]) -> Iterator[dict[str, Tensor]]:
    """Record the latest outputs of submodules, by name."""
    outputs: dict[str, Tensor] = {}

    def keep(name: str) -> None:
        def hook(_module: nn.Module, _inputs: tuple[Tensor, ...], output: Tensor) -> None:
            outputs[name] = output

        hooks.append(model.get_submodule(name).register_forward_hook(hook))

    hooks: list[RemovableHandle] = []
    for name in names:
        keep(name)
    try:
        yield outputs
    finally:
        for hook in hooks:
            hook.remove()
