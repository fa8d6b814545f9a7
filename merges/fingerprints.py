"""What identifies a network: its structure, and its weights."""

import hashlib

from torch import fx

from merges.graph import layer


def of_structure(graph_module: fx.GraphModule, input_shape: tuple[int, int, int]) -> str:
    """Identifies layers, shapes and the size of the images, not the weights; 16 hexadecimal digits."""
    lines = [str(input_shape)]
    for node in graph_module.graph.nodes:
        what = layer(graph_module, node) or getattr(node.target, "__name__", node.target)
        lines.append(f"{node.name} {what} {node.args} {node.meta.get('shape')}")
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def of_weights(graph_module: fx.GraphModule, structure: str) -> str:
    """Identifies structure (its fingerprint) and weights together; 16 hexadecimal digits."""
    digest = hashlib.sha256(structure.encode())
    for name, tensor in graph_module.state_dict().items():
        digest.update(name.encode() + tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]
