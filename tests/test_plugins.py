"""A rule, a runtime, a target, a sampler and a source of images more: one file each, and nothing else."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import optuna
import pytest
import torch

from latency_models import kit, runtime, target
from latency_models.kernel import Kernel
from merges import rule
from merges.network import analyse
from search import samplers
from search.scoring.device import Device
from search.scoring.latency import Latencies
from search.study.records import StudyRecord, TrialRecord
from tests import networks
from tests.plugins import HERE, PACKAGES
from tests.program import ROOT
from training import source
from training.data.loading import DataSpec, load

DISCOVERIES = (rule.discover, runtime.discover, source.discover)


@pytest.fixture
def plugged(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """This process with one more of each kind."""
    for kind, package in PACKAGES.items():
        monkeypatch.setattr(package, "__path__", [*package.__path__, str(HERE / kind)])
    for discover in DISCOVERIES:
        discover.cache_clear()
    yield
    monkeypatch.undo()
    for discover in DISCOVERIES:
        discover.cache_clear()


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    where = tmp_path_factory.mktemp("home")
    shutil.copytree(HERE / "targets", where / "targets")
    return where


def program(home: Path, *words: object) -> str:
    """Run the program with the plug-ins, in a process of its own, as a user starts it."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.plugins", *map(str, words)],
        cwd=ROOT,
        env=os.environ | {"REBIRTH_HOME": str(home), "COLUMNS": "200"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_search_with_all_of_them(home: Path) -> None:
    own = ["--target", "metronome", "--sampler", "dice", "--data", "stripes:12", "--only", "middle:*"]
    short = ["--bank-steps", 2, "--bank-images", 20, "--proxy-steps", 1, "--relearn-steps", 1]
    found = program(home, "search", "--model", "tests.networks:fire", *own, *short, "--budget", 2, "--json")
    assert json.loads(found)["target"] == "metronome"
    storage = f"sqlite:///{home / 'studies.db'}"
    study = optuna.load_study(study_name="tests.networks.fire-metronome-12-16", storage=storage)
    record = StudyRecord.read(study)
    assert (record.target, record.input_shape, record.classes) == ("metronome", (3, 16, 16), 10)
    assert study.user_attrs["dice"] == "thrown"
    plans = [
        TrialRecord.read(trial).plan for trial in study.get_trials(states=[optuna.trial.TrialState.COMPLETE])
    ]
    assert sorted(plans, key=len) == [{}, {"middle:three": "1x1"}]


def test_help_and_lists_name_them(home: Path) -> None:
    assert "metronome" in {row["name"] for row in json.loads(program(home, "targets", "--json"))}
    words = " ".join(program(home, "search", "--help").split())
    assert "stripes:NUMBER" in words
    assert "dice" in words
    assert "16 for stripes" in words
    assert "steady" in program(home, "profile", "--help")


def test_another_rule_is_offered_and_its_plan_is_built(plugged: None) -> None:
    network = analyse("fire", networks.fire(), (3, 16, 16))
    (site,) = (site for site in network.sites if site.rule == "middle")
    merged = network.merged({site.id: "1x1"})
    images = torch.zeros(2, 3, 16, 16)
    assert merged(images).shape == network.teacher(images).shape
    kernels = [m.kernel_size for m in merged.modules() if isinstance(m, torch.nn.Conv2d)]
    assert sorted(kernels) == [(1, 1), (1, 1), (3, 3)]


def test_another_runtime_prices_a_network(plugged: None, home: Path) -> None:
    device = Device.named("metronome", home)
    latencies = Latencies(analyse("fire", networks.fire(), (3, 16, 16)), device)
    most_ms = len(latencies.layers({})) / 1000  # less what the machine's own drift is worth
    assert most_ms / 100 < latencies.score({}).latency_ms <= most_ms
    assert latencies.score({}).total.kind == "measured"


def test_another_runtime_is_timed_on_a_board_that_has_nothing_of_this_program(
    plugged: None, home: Path, tmp_path: Path
) -> None:
    kernel = Kernel("relu", (8, 6, 6), (8, 6, 6))
    kit.write(tmp_path, target.load("metronome", home), runtime.named("steady"), [kernel])
    subprocess.run([sys.executable, "-I", kit.PROGRAM, "."], cwd=tmp_path, check=True, capture_output=True)
    (row,) = kit.load(tmp_path / "results.jsonl").rows
    assert row.kernel == kernel
    assert 0 < row.median_us <= 1


def test_without_its_runtime_a_target_is_refused(home: Path) -> None:
    with pytest.raises(target.TargetError, match="unknown runtime 'steady'; expected one of caffe, ncnn"):
        Device.named("metronome", home)


def test_another_source_gives_images(plugged: None) -> None:
    data = load(DataSpec("stripes:12", input_size=16))
    assert (len(data.train), len(data.proxy), len(data.test)) == (84, 18, 18)
    assert data.classes[3] == "width 3"


def test_another_sampler_is_known(plugged: None) -> None:
    assert samplers.names()[0] == samplers.DEFAULT
    assert "dice" in samplers.names()
