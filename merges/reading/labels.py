"""What people call the nodes of a canonical graph."""

from torch import fx, nn

from merges.reading.builder import path_of, verb_of


def label_nodes(made: fx.GraphModule, model: nn.Module) -> None:
    """Name every node as its user knows it: by the layer that called it, else by layer and operation."""
    modules = dict(model.named_modules())
    nodes = [node for node in made.graph.nodes if node.op in ("call_module", "call_function")]
    paths = {node: path_of(node.meta["origin"]) for node in nodes}
    verbs = {path: {verb_of(n.meta["origin"]) for n in nodes if paths[n] == path} for path in paths.values()}

    def is_layer(node: fx.Node) -> bool:
        path = paths[node]
        single = path in modules and not any(modules[path].children()) and len(verbs[path]) == 1
        return bool(path) and (single or node.meta.get("weighted", False))

    taken: set[str] = set()
    for node in sorted(nodes, key=lambda node: not is_layer(node)):
        within = f"{paths[node]}.{verb_of(node.meta['origin'])}".lstrip(".")
        plain = named = paths[node] if is_layer(node) else within
        number = 1
        while named in taken:
            number += 1
            named = f"{plain}#{number}"
        taken.add(named)
        node.meta = {"label": named, "origin": node.meta["origin"].name, "per_image": _per_image(node)}


def _per_image(node: fx.Node) -> bool:
    """Whether the first dimension of a node's value, and no other, counts the images."""
    images = next(iter(node.graph.nodes)).meta["sizes"][0]
    sizes = node.meta.get("sizes", (images,))
    return sizes[0] == images and not any(isinstance(size, str) for size in sizes[1:]) if sizes else False
