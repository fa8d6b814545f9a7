"""Plans by command: presets, two plans in one, the picture, the schema; nothing is trained here."""

import json
from pathlib import Path
from xml.etree import ElementTree

import jsonschema
import pytest

from tests.program import run

ALEXNET = ("--model", "bvlc_alexnet")


@pytest.fixture(scope="module")
def plans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the paper's plan for AlexNet in its two halves, and whole."""
    folder = tmp_path_factory.mktemp("plans")
    for name, preset in (("first", "paper:1"), ("both", "paper")):
        done = run("plan", "--preset", preset, *ALEXNET, "--out", folder / f"{name}.json", home=folder)
        assert done.returncode == 0, done.stderr
    second = json.loads((folder / "both.json").read_text())
    del second["choices"]["streamline:conv1"]
    (folder / "second.json").write_text(json.dumps(second))
    return folder


def test_two_plans_merge_into_one(plans: Path) -> None:
    done = run("plan", "merge", plans / "first.json", plans / "second.json", "--json", home=plans)
    assert done.returncode == 0, done.stderr
    merged, whole = json.loads(done.stdout), json.loads((plans / "both.json").read_text())
    assert merged["plan_id"] == whole["plan_id"]
    assert merged["speedup"] == pytest.approx(whole["speedup"])


def test_plans_that_disagree_are_refused_by_site(plans: Path) -> None:
    other = json.loads((plans / "first.json").read_text())
    other["choices"]["streamline:conv1"] = "drop norm"
    (plans / "other.json").write_text(json.dumps(other))
    done = run("plan", "merge", plans / "first.json", plans / "other.json", home=plans)
    assert done.returncode == 2
    assert "streamline:conv1" in done.stderr


def test_the_picture_shows_every_kernel_before_and_after(plans: Path) -> None:
    done = run("plan", "show", plans / "both.json", "--svg", plans / "plan.svg", home=plans)
    assert done.returncode == 0, done.stderr
    page = ElementTree.parse(plans / "plan.svg").getroot()
    texts = [element.text or "" for element in page.iter("{http://www.w3.org/2000/svg}text")]
    plan = json.loads((plans / "both.json").read_text())
    assert f"{plan['baseline_latency_ms']:.2f} ms" in texts[0]
    assert any(f"{plan['latency_ms']:.2f} ms ({plan['speedup']:.2f}x)" in text for text in texts)
    assert texts.count("norm1") == 1  # before only
    assert texts.count("conv1") == 2


def test_a_plan_follows_its_schema(plans: Path) -> None:
    done = run("plan", "schema", home=plans)
    assert done.returncode == 0, done.stderr
    jsonschema.validate(json.loads((plans / "both.json").read_text()), json.loads(done.stdout))


def test_the_exact_plan_is_offered_for_any_network(plans: Path) -> None:
    done = run("plan", "--preset", "exact", "--model", "densenet121", "--json", home=plans)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["choices"]
    assert all(site.startswith("compose:") for site in found["choices"])
    assert found["speedup"] > 1
