"""README and docs: short, with links and scripts that are there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


def test_the_readme_is_read_in_one_go() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 120


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_and_scripts_are_there(page: Path) -> None:
    text = page.read_text()
    links = [link.partition("#")[0] for link in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in link]
    assert all((page.parent / link).exists() for link in links if link), links
    scripts = re.findall(r"`(?:python )?(benchmarks/\w+\.(?:py|txt))", text)
    assert all((ROOT / script).exists() for script in scripts), scripts


def test_every_command_of_the_readme_is_one_of_the_program() -> None:
    from search.commands.main import COMMANDS

    used = re.findall(r"cli\.py (\w+)", (ROOT / "README.md").read_text())
    assert set(used) <= COMMANDS.keys()
    assert {"search", "plan", "train", "export", "bench"} <= set(used)
