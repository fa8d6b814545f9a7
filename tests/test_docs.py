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


RESULTS = ROOT / "benchmarks" / "results"
_NUMBER = r"(?<![\w.,-])\d+(?:,\d{3})*(?:\.\d+)?"
_WITH_UNIT = re.compile(_NUMBER + r"(?=x?(?:, \d+\.\d+x?)*(?:(?<=x)|x|\s?%|\s(?:ms|points|MiB)\b)(?!\w))")
_IN_CELL = re.compile(r"(?<=\| )\d+\.\d+(?= \|)")


def measured(section: str) -> list[str]:
    """Numbers with a unit of what benchmarks measure, and decimals that fill a cell of a table."""
    return _WITH_UNIT.findall(section) + _IN_CELL.findall(section)


def sections(text: str) -> list[str]:
    """A page in parts from heading to heading, without its code but for the names of scripts."""
    text = re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)
    prose = re.sub(r"`([^`]*)`", lambda code: code[0] if code[1].endswith(".py") else "", text)
    return re.split(r"^#+ .*$", prose, flags=re.M)


def numbers(text: str) -> list[float]:
    """Every number in a text."""
    return [float(found.replace(",", "")) for found in re.findall(r"\d+(?:,\d{3})*(?:\.\d+)?", text)]


def test_a_measured_number_is_told_from_others() -> None:
    text = "a 1x1 of version 1.1 at 3x3, 2.19x as fast, top-5 84.0, 83.5 %, 361 ms of 1,000 photos | 1.27 |"
    assert measured(text) == ["2.19", "84.0", "83.5", "361", "1.27"]


@pytest.mark.parametrize(
    "page", [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))], ids=lambda page: page.name
)
def test_numbers_are_those_that_the_benchmarks_printed(page: Path) -> None:
    """Each number of a section stands, to its decimals, in what a script named there has printed."""
    for section in sections(page.read_text()):
        named = {
            name
            for name in re.findall(r"(\w+)\.py`", section)
            if (ROOT / f"benchmarks/{name}.py").exists() and name != "pictures"
        }
        if page.name == "README.md" and "docs/results.md" in section:
            named = {path.stem for path in RESULTS.glob("*.txt")}
        known = [value for name in named for value in numbers((RESULTS / f"{name}.txt").read_text())]
        for said in measured(section) if named else ():
            decimals = len(said.partition(".")[2])
            value = float(said.replace(",", ""))
            assert any(round(one, decimals) == value for one in known), f"{said} is in no result of {named}"
