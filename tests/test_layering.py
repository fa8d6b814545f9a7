"""Imports run one way: search -> training -> merges, and search -> latency_models; and from room to room."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MAY_IMPORT = {
    "merges": {"merges"},
    "latency_models": {"latency_models"},
    "training": {"training", "merges"},
    "search": {"search", "training", "merges", "latency_models"},
}
ROOMS = {  # each imports those before it
    "training": (
        *(
            "errors",
            "finite",
            "files",
            "factories",
            "sizes",
            "metric",
            "config",
            "progress",
            "threads",
            "checkpoint",
            "builtins",
            "store",
            "optim",
            "metrics",
        ),
        *(
            "images",
            "source",
            "sources",
            "trust",
            "data",
            "judging",
            "judged_by",
            "onnx_input",
            "models",
            "some_classes",
            "export_check",
            "export",
            "teacher",
        ),
        *("finetune", "blocks", "narrowing", "workbench"),
    ),
    "search": (
        *("called", "pareto", "titles", "proxy", "scoring", "space", "accuracy_model", "samplers"),
        *("evaluation", "config", "prepare", "study", "results", "deploy", "engine", "remarks"),
        *("run", "api", "commands"),
    ),
}


def modules(package: str) -> Iterator[tuple[Path, str]]:
    """Every file with the name that it is imported by."""
    for path in sorted((ROOT / package).rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        yield path, ".".join(parts).removesuffix(".__init__")


def imports(path: Path) -> Iterator[tuple[str, str]]:
    """Modules that a file imports from, and the names that it takes."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from ((node.module, alias.name) for alias in node.names)


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_packages_import_one_way(package: str) -> None:
    for path, _ in modules(package):
        found = {name.split(".")[0] for name, _ in imports(path)}
        assert found & set(MAY_IMPORT) <= MAY_IMPORT[package], path
        assert "cli" not in found, path
        if package == "latency_models":
            assert not found & {"torch", "torchvision", "optuna"}, path


@pytest.mark.parametrize("package", ROOMS)
def test_rooms_import_one_way(package: str) -> None:
    order = ROOMS[package]
    known = {name for _, name in modules(package)}
    for path, name in modules(package):
        if name == package:
            continue
        here = order.index(name.split(".")[1])
        for module, taken in imports(path):
            target = f"{module}.{taken}" if f"{module}.{taken}" in known else module
            if target in known and target != package:
                assert order.index(target.split(".")[1]) <= here, f"{path} imports {target}"


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_nobody_imports_what_is_private(package: str) -> None:
    for path, _ in modules(package):
        for module, name in imports(path):
            if module.split(".")[0] in MAY_IMPORT:
                assert not any(part.startswith("_") for part in (*module.split("."), name)), (path, module)


def test_a_front_is_read_without_torch_and_the_accuracy_model() -> None:
    needless = "{'torch', 'ortools', 'search.accuracy_model'}"
    program = f"import sys, search.commands.front; sys.exit(str({needless} & set(sys.modules) or ''))"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert done.stderr.strip() == ""
