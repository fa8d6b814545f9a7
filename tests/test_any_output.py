"""Networks that are no classifiers go the whole way: search, plan, train, export, bench."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from PIL import Image
from torch import nn

from merges.network import analyse
from merges.reading.check import answers_of, example_images
from tests import any_output
from tests.program import answer, run
from training.errors import BadInputError
from training.finetune.short import distance
from training.judging import kept

PROXY = ("--bank-images", 24, "--bank-steps", 2, "--relearn-steps", 1, "--proxy-steps", 2)
PSNR = "tests.any_output:psnr"
CASES: dict[str, tuple[int, tuple[str, ...], list[str]]] = {  # input size, options, outputs
    "segmentation": (64, ("--target", "raspberry-pi-4"), ["out"]),
    "detector": (32, ("--target", "host", "--within", "network"), ["boxes", "scores"]),
    "embedding": (24, ("--target", "raspberry-pi-4"), ["scores"]),
    "super_resolution": (24, ("--target", "host", "--metric", PSNR), ["output"]),
    "two_heads": (24, ("--target", "raspberry-pi-4"), ["output_0", "output_1"]),
}


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Smooth images without labels."""
    folder = tmp_path_factory.mktemp("photos")
    generator = np.random.default_rng(0)
    for number in range(60):
        coarse = Image.fromarray(generator.integers(0, 255, (6, 6, 3), dtype=np.uint8))
        coarse.resize((64, 64), Image.Resampling.BICUBIC).save(folder / f"{number}.png")
    return folder


@pytest.mark.parametrize("name", CASES)
def test_the_whole_way(name: str, photos: Path, tmp_path: Path) -> None:
    size, options, outputs = CASES[name]
    model = ("--model", f"tests.any_output:{name}", "--data", f"imagefolder:{photos}", "--input-size", size)
    search = ("search", *model, *options, *PROXY, "--study", "s", "--budget", 6)
    front = answer(*search, home=tmp_path)
    own = PSNR in options
    assert front["metric"] == (PSNR if own else "answers")
    if not own:
        assert front["baseline"]["accuracy"] == 100
        assert all(set(point["kept"]) == set(outputs) for point in front["points"])
    plan, out = tmp_path / "plan.json", tmp_path / "run"
    trial = front["knee"]
    assert run("plan", "--study", "s", "--trial", trial, "--out", plan, home=tmp_path).returncode == 0
    train = ("train", "--plan", plan, "--epochs", 2, "--relearn-steps", 4, "--out", out)
    refused = run(*train, home=tmp_path)
    assert refused.returncode == 2
    assert "if you trust it, give --trust" in refused.stderr
    trust = ("--model", f"tests.any_output:{name}", *(("--metric", PSNR) if own else ()))
    trained = answer(*train, *trust, home=tmp_path)
    _check_trained(trained, own, outputs)
    merged, original = tmp_path / "merged.onnx", tmp_path / "original.onnx"
    export = ("export", "--run", out, "--out", merged, "--original", original, "--trust")
    exported = answer(*export, home=tmp_path)
    assert list(exported["outputs"]) == outputs
    assert max(exported["outputs"].values()) < 1e-3
    session = onnxruntime.InferenceSession(str(merged))
    assert [output.name for output in session.get_outputs()] == outputs
    suffix = ".param" if "raspberry-pi-4" in options else ".onnx"
    files = [path.with_suffix(suffix) for path in (original, merged)]
    timed = answer("bench", *files, "--rounds", 3, home=tmp_path)["timings"]
    assert {timing["model"] for timing in timed} == set(map(str, files))


def _check_trained(trained: dict[str, Any], own: bool, outputs: list[str]) -> None:
    assert trained["agreement"] is None
    assert trained["images"] == 9
    for network in ("teacher", "merged"):
        assert set(trained[network]["kept"]) == (set() if own else set(outputs))
    if not own:
        assert trained["teacher"]["value"] == 100
        assert 0 <= trained["merged"]["value"] <= 100


def test_the_kept_share_is_that_of_the_variance() -> None:
    """A network that is right has 100, one with the mean answer 0, one with noise what the noise leaves."""
    torch.manual_seed(0)
    images = torch.randn(512, 6)
    moved = torch.cat([images, torch.full((512, 1), 1e4)], 1)  # a constant is no variance to keep

    class Answers(nn.Module):
        def __init__(self, noise: float, share: float = 1.0) -> None:
            super().__init__()
            self.noise, self.share = noise, share

        def forward(self, index: torch.Tensor) -> dict[str, torch.Tensor]:
            values = moved[index.long()[:, 0]]
            return {
                "a": self.share * values + self.noise * torch.randn(values.shape) * (values < 1e3),
                "b": values,
            }

    batches = [part[:, None].float() for part in torch.arange(512).split(100)]
    assert kept(Answers(0), Answers(0), batches) == pytest.approx([100, 100])
    noisy, exact = kept(Answers(0), Answers(0.5), batches)
    assert noisy == pytest.approx(75, abs=2)
    assert exact == 100
    assert kept(Answers(0), Answers(3), batches)[0] == 0
    with pytest.raises(BadInputError, match="1 image"):
        kept(Answers(0), Answers(0), [batches[0][:1]])


def test_distances_are_shares_whatever_the_scale() -> None:
    maps = torch.randn(8, 3, 4, 4)
    for scale in (1e-3, 1.0, 1e4):
        assert float(distance([maps * scale * 1.1], [maps * scale], False)) == pytest.approx(0.01, rel=0.3)
    vectors = torch.randn(8, 16)
    assert float(distance(vectors, vectors, False)) == pytest.approx(0, abs=1e-6)
    assert float(distance(-vectors, vectors, False)) > 2


def test_a_part_is_read_alone_and_a_wrong_name_is_refused(tmp_path: Path) -> None:
    found = run("sites", "--model", "tests.any_output:detector", "--within", "netwrk", home=tmp_path)
    assert found.returncode == 2
    assert "has no part 'netwrk'; --within may be network" in found.stderr
    network = analyse("detector", any_output.detector().network, (3, 32, 32))  # type: ignore[arg-type]
    images = example_images((3, 32, 32), 2)
    assert len(answers_of(network.merged({}), images)) == len(network.outputs) == 2


def broken(network: nn.Module, images: torch.Tensor) -> float:
    raise RuntimeError("no camera")


def negative(network: nn.Module, images: torch.Tensor) -> float:
    return -3.0


@pytest.mark.parametrize(
    ("metric", "why"),
    [
        ("tests.test_any_output:broken", "failed (RuntimeError: no camera)"),
        ("tests.test_any_output:missing", "cannot be had (AttributeError"),
        ("tests.test_any_output:negative", "expected more than 0"),
        ("top9", "no metric; expected expected, top1, top5, answers or package.module:function"),
        ("top1", "needs one vector of class scores"),
        ("kept", "goes with --zero-shot"),
    ],
)
def test_metrics_that_cannot_judge_are_refused(metric: str, why: str, photos: Path, tmp_path: Path) -> None:
    model = ("--model", "tests.any_output:two_heads", "--data", f"imagefolder:{photos}", "--input-size", 24)
    target = ("--target", "raspberry-pi-4", "--budget", 2)
    done = run("search", *model, *PROXY, *target, "--metric", metric, home=tmp_path)
    assert done.returncode == 2, done.stderr
    assert why in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("metric", ["kept", "answers"])
def test_a_zero_shot_search_of_a_detector_needs_no_labels(metric: str, photos: Path, tmp_path: Path) -> None:
    search = ("search", "--zero-shot", "--model", "tests.any_output:detector", "--within", "network")
    search += ("--eval-data", f"imagefolder:{photos}") if metric == "answers" else ()
    found = answer(*search, "--input-size", 128, "--target", "raspberry-pi-4", "--budget", 4, home=tmp_path)
    assert found["metric"] == metric
    plan = tmp_path / "plan.json"
    done = run("plan", "--study", found["study"], "--trial", found["knee"], "--out", plan, home=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(plan.read_text())["within"] == "network"
    done = run("export", "--plan", plan, "--out", tmp_path / "m.onnx", "--trust", home=tmp_path)
    assert done.returncode == 0, done.stderr
    shown = run("plan", "show", plan, "--trust", home=tmp_path)
    assert shown.returncode == 0, shown.stderr
