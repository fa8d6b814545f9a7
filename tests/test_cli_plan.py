"""Plans by command: presets, two plans in one, the picture, the schema; nothing is trained here."""

import json
from pathlib import Path
from xml.etree import ElementTree

import jsonschema
import pytest

from latency_models.layouts import blocked
from merges.plan import Plan
from search.results.planfile import PlanFile
from search.results.svg import draw
from search.scoring.device import Device
from search.scoring.latency import Latencies
from tests.program import answer, run
from training.workbench import structure

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
    assert any(text.startswith(f"{plan['baseline_latency_ms']:.2f} ms") for text in texts)
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


def test_the_picture_of_a_residual_network_has_its_shortcuts(tmp_path: Path) -> None:
    network = structure("resnet18", 64)
    latencies = Latencies(network, Device.named("raspberry-pi-4", tmp_path))
    whole = latencies.layers({})
    for block in (0, 8):  # also where sums are fused into convolutions
        fused = blocked(whole, block, {"relu"}) if block else whole
        names = {layer.name for layer in fused}
        read = {source for layer in fused for source in layer.inputs}
        assert names - read == {"fc"}, "nothing is a dead end"
    plan = Plan.make(network, {network.sites[-1].id: network.sites[-1].names[1]})
    file = PlanFile.of_plan(network, plan, "raspberry-pi-4", latencies.score(plan))
    draw(latencies, file, tmp_path / "plan.svg")
    page = ElementTree.parse(tmp_path / "plan.svg").getroot()
    edges = list(page.iter("{http://www.w3.org/2000/svg}path"))
    expected = [layer for choices in ({}, plan) for layer in latencies.layers(choices)]
    assert len(edges) == sum(len(set(layer.inputs) & {one.name for one in whole}) for layer in expected)
    titles = [t for t in page.iter("{http://www.w3.org/2000/svg}text") if t.get("class") == "title"]
    places = [float(str(title.get("x"))) for title in titles]
    assert places[1] - places[0] > 10 * len(str(titles[0].text)), "titles do not overlap"


def test_only_what_merging_changes_is_framed_in_the_picture_of_a_narrowed_plan(tmp_path: Path) -> None:
    network = structure("resnet18", 64, narrow=0.5)
    latencies = Latencies(network, Device.named("raspberry-pi-4", tmp_path))
    plan = Plan.make(network, {network.sites[0].id: network.sites[0].names[1]})
    file = PlanFile.of_plan(network, plan, "raspberry-pi-4", latencies.score(plan))
    draw(latencies, file, tmp_path / "plan.svg")
    boxes = [e.get("class") for e in ElementTree.parse(tmp_path / "plan.svg").iter() if "rect" in e.tag][1:]
    assert 1 <= boxes.count("changed") <= 6 < boxes.count("box")


def test_a_plan_is_shown_as_text_and_an_edited_one_is_scored_anew(plans: Path) -> None:
    plan = json.loads((plans / "both.json").read_text())
    shown = run("plan", "show", plans / "both.json", home=plans)
    assert shown.returncode == 0, shown.stderr
    assert "norm1" in shown.stdout
    assert f"{plan['speedup']:.2f}x" in shown.stdout
    listed = answer("plan", "show", plans / "both.json", home=plans)
    assert listed["plan"]["choices"] == plan["choices"]
    for when, field in (("before", "baseline_latency_ms"), ("after", "latency_ms")):
        assert sum(row["latency_ms"] for row in listed[when]["layers"]) == pytest.approx(plan[field])
    plan["choices"].popitem()
    (plans / "edited.json").write_text(json.dumps(plan))
    edited = run("plan", "show", plans / "edited.json", home=plans)
    assert edited.returncode == 0, edited.stderr
    assert plan["plan_id"] not in edited.stdout
    assert f"{plan['speedup']:.2f}x" not in edited.stdout


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("metric", "../../x"),
        ("input_shape", [3, 10**30, 24]),
        ("input_shape", [3, -1, 24]),
        ("setup", {"input_size": -1}),
        ("setup", {"input_size": []}),
        ("classes", -3),
    ],
)
def test_odd_values_in_a_plan_are_named(field: str, value: object, plans: Path) -> None:
    plan = json.loads((plans / "both.json").read_text()) | {field: value}
    (plans / "odd.json").write_text(json.dumps(plan))
    shown = run("plan", "show", plans / "odd.json", home=plans)
    assert shown.returncode == 2
    assert f"is not a plan: {field}" in shown.stderr
