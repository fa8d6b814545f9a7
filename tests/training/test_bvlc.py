"""The paper's network with its real weights and photos (skipped where they are absent)."""

import csv
import gzip
import tarfile
from pathlib import Path

import pytest

from latency_models import build_tables
from merges.graph import label
from merges.network import analyse
from training import models
from training.data.loading import NO_DATA, DataSpec, load
from training.metrics import evaluate


@pytest.mark.parametrize(("name", "convolutions"), [("bvlc_googlenet", 57), ("bvlc_alexnet", 5)])
def test_every_convolution_has_the_recorded_shape(name: str, convolutions: int) -> None:
    loaded = models.load(name)
    network = analyse(name, loaded.model, (3, loaded.input_size, loaded.input_size))
    shapes = {label(n): n.meta["shape"] for n in network.teacher.graph.nodes if n.op == "call_module"}
    with gzip.open(build_tables.SOURCES / "layer_timings.csv.gz", "rt") as file:
        records = [r for r in csv.DictReader(file) if r["network"] == name and r["type"] == "Convolution"]
    recorded = {r["layer"]: (1, int(r["out_c"]), int(r["out_hw"]), int(r["out_hw"])) for r in records}
    assert len(recorded) == convolutions
    assert {name: shapes[name] for name in recorded} == recorded


def test_the_given_weights_reach_the_known_accuracy(shared_data: Path, tmp_path: Path) -> None:
    """On the 250 validation images; benchmarks/bvlc_accuracy.py has the 1000 sample images too."""
    with tarfile.open(shared_data / "imagenet-val250.tar") as archive:
        archive.extractall(tmp_path, filter="data")
    loaded = models.load("bvlc_googlenet", str(shared_data / "bvlc_googlenet.safetensors"))
    spec = f"imagefolder:{tmp_path / 'imagenet-val'}"
    images = load(DataSpec(NO_DATA, spec, str(shared_data / "synsets.txt"), loaded.input_size))
    found, _ = evaluate(loaded.model, lambda i: loaded.preprocess(images.test.pixels[i]), images.test.labels)
    assert len(images.test) == 250
    assert found.top5 == pytest.approx(84.0, abs=0.5)
