"""Imports run one way: search -> training -> merges, and search -> latency_models."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("merges", "latency_models", "training", "search")
MAY_IMPORT = {
    "merges": {"merges"},
    "latency_models": {"latency_models"},
    "training": {"training", "merges"},
    "search": {"search", "training", "merges", "latency_models"},
}


def imported(path: Path) -> set[str]:
    tree = ast.parse(path.read_text())
    names = [a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names]
    names += [n.module or "" for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)]
    return {name.split(".")[0] for name in names}


@pytest.mark.parametrize("package", PACKAGES)
def test_imports_run_one_way(package: str) -> None:
    for path in (ROOT / package).rglob("*.py"):
        found = imported(path)
        assert found & set(PACKAGES) <= MAY_IMPORT[package], path
        assert "cli" not in found, path
        if package == "latency_models":
            assert not found & {"torch", "torchvision", "optuna"}, path


def test_every_package_is_installed() -> None:
    declared = (ROOT / "pyproject.toml").read_text()
    for package in PACKAGES:
        for init in (ROOT / package).rglob("__init__.py"):
            name = ".".join(init.parent.relative_to(ROOT).parts)
            assert f'"{name}"' in declared, f"{name} is missing in pyproject.toml"
