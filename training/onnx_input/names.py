"""Names of layers: the user's own, as far as torch can carry them."""

import re

import onnx
from torch import fx

_TAKEN = frozenset(dir(fx.GraphModule))


class Names:
    """Gives every layer a path of its own, as ``layer1.0.conv1``."""

    def __init__(self) -> None:
        self._leaves: set[str] = set()
        self._containers: set[str] = set()

    def path(self, node: onnx.NodeProto) -> str:
        """A path for a node: its weight's name, else its own, else its output's."""
        weight = node.input[1] if len(node.input) > 1 else ""
        if weight.endswith(".weight"):
            return self.own(weight.removesuffix(".weight"))
        return self.own(_scopes(node.name or next(filter(None, node.output), node.op_type)))

    def own(self, wanted: str) -> str:
        """The nearest path to a wanted one that is free."""
        parts = [_clean(part) for part in wanted.split(".") if part] or ["value"]
        path = ".".join(parts)
        if self._clashes(path):
            path = "_".join(parts)
        base, number = path, 0
        while self._clashes(path):
            number += 1
            path = f"{base}_{number}"
        self._leaves.add(path)
        parts = path.split(".")
        self._containers |= {".".join(parts[:n]) for n in range(1, len(parts))}
        return path

    def _clashes(self, path: str) -> bool:
        parts = path.split(".")
        above = {".".join(parts[:n]) for n in range(1, len(parts) + 1)}
        return path in self._containers or bool(above & self._leaves)


def _scopes(name: str) -> str:
    """``/layer1/layer1.0/conv1/Conv`` as ``layer1.0.conv1.Conv``."""
    parts = [part for part in name.split("/") if part]
    inner = [*parts[1:], ""]
    return ".".join(p for p, after in zip(parts, inner, strict=True) if not after.startswith(f"{p}."))


def _clean(part: str) -> str:
    plain = re.sub(r"\W+", "_", part, flags=re.ASCII)
    return f"{plain}_" if plain in _TAKEN else plain
