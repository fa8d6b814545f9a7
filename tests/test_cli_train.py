"""Full training survives being killed."""

import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path

from safetensors.torch import load_file, save_file

from tests.networks import with_batch_norm
from tests.photos import photos
from tests.program import ROOT, answer, run

MODEL = ("--model", "tests.networks:with_batch_norm", "--input-size", "32")
CLASSES = tuple(f"class{number}" for number in range(10))
KEPT = ("relearned/*.safetensors", "checkpoint-*.pt")  # what the two stages of a training leave


def learned_plan(home: Path, path: Path) -> None:
    """A plan of rebirth layers, as a file."""
    sites = answer("sites", *MODEL, home=home)["sites"]
    plan = answer("plan", "--preset", "exact", *MODEL, home=home)
    learned = [site for site in sites if site["rule"] in ("streamline", "branch")]
    plan["choices"] = {site["id"]: site["options"][-1]["name"] for site in learned}
    path.write_text(json.dumps(plan))


def few_images(folder: Path) -> tuple[str, str]:
    """Few images: how well they are learned is not asked."""
    photos(folder / "photos", 20, CLASSES)
    return ("--data", f"imagefolder:{folder / 'photos'}")


def test_killed_runs_end_with_the_weights_of_an_undisturbed_one(tmp_path: Path) -> None:
    learned_plan(tmp_path, tmp_path / "plan.json")
    train = ("train", "--plan", tmp_path / "plan.json", "--trust", *few_images(tmp_path), "--epochs", 12)
    whole = run(*train, "--out", tmp_path / "whole", home=tmp_path)
    assert whole.returncode == 0, whole.stderr
    assert "95 % confidence" in whole.stdout

    command = [sys.executable, str(ROOT / "cli.py"), *map(str, train), "--out", str(tmp_path / "killed")]
    environment = os.environ | {"REBIRTH_HOME": str(tmp_path)}
    dice = random.Random(0)
    interrupted = 0
    for kept in KEPT:
        running = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        while running.poll() is None and not list((tmp_path / "killed").glob(kept)):
            time.sleep(0.05)
        time.sleep(dice.uniform(0, 1))
        interrupted += running.poll() is None
        running.kill()
        running.wait()
    assert interrupted > 0, "training was over before it was killed"
    last = run(*train, "--out", tmp_path / "killed", home=tmp_path)
    assert last.returncode == 0, last.stderr
    one, other = (load_file(tmp_path / name / "merged.safetensors") for name in ("whole", "killed"))
    assert one.keys() == other.keys()
    assert all((one[key] == other[key]).all() for key in one)
    results = [json.loads((tmp_path / name / "result.json").read_text()) for name in ("whole", "killed")]
    assert results[0] == results[1]


def test_images_without_labels_are_learned_on(tmp_path: Path) -> None:
    learned_plan(tmp_path, tmp_path / "plan.json")
    photos(tmp_path / "judge", 2, CLASSES)
    photos(tmp_path / "loose", 12, (".",))
    data = ("--data", f"imagefolder:{tmp_path / 'loose'}", "--eval-data", f"imagefolder:{tmp_path / 'judge'}")
    train = ("train", "--plan", tmp_path / "plan.json", "--trust", *data, "--epochs", 2, "--relearn-steps", 2)
    for asked in (("--with-labels",), ("--recipe", "paper")):
        refused = run(*train, *asked, "--out", tmp_path / "refused", home=tmp_path)
        assert refused.returncode == 2
        assert "have no labels" in refused.stderr
    done = answer(*train, "--rate", 0.001, "--out", tmp_path / "run", home=tmp_path)
    assert done["images"] == 20
    assert len(done["losses"]) == 2


def test_a_run_is_exported_wherever_its_weights_and_images_are_now(tmp_path: Path) -> None:
    learned_plan(tmp_path, tmp_path / "plan.json")
    weights, other, moved = (tmp_path / f"{name}.safetensors" for name in ("weights", "other", "moved"))
    save_file(with_batch_norm().state_dict(), weights)
    halved = {name: weight / 2 for name, weight in with_batch_norm().state_dict().items()}
    save_file(halved, other)
    train = ("train", "--plan", tmp_path / "plan.json", "--trust", *few_images(tmp_path), "--epochs", 1)
    more = ("--weights", weights, "--relearn-steps", 2, "--out", tmp_path / "run")
    done = run(*train, *more, home=tmp_path)
    assert done.returncode == 0, done.stderr
    weights.rename(moved)
    (tmp_path / "photos").rename(tmp_path / "elsewhere")
    export = ("export", "--run", tmp_path / "run", "--out", tmp_path / "m.onnx", "--trust")
    lost = run(*export, home=tmp_path)
    assert lost.returncode == 2
    assert str(weights) in lost.stderr
    found = ("--weights", moved, "--data", f"imagefolder:{tmp_path / 'elsewhere'}")
    done = run(*export, *found, home=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "resized to cover 37x37, the middle 32x32" in done.stdout
    assert "warning: the untouched" not in done.stderr
    done = run(*export, *found, "--weights", other, home=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "warning: the untouched network has other weights" in done.stderr


def test_the_papers_recipe_runs_in_two_processes(tmp_path: Path) -> None:
    learned_plan(tmp_path, tmp_path / "plan.json")
    train = ("train", "--plan", tmp_path / "plan.json", "--trust", *few_images(tmp_path), "--recipe", "paper")
    few = run(*train, "--epochs", 1, "--out", tmp_path / "few", home=tmp_path)
    assert few.returncode == 2
    assert "--epochs is 1" in few.stderr
    lone = run(*train, "--joint", "nothing", "--out", tmp_path / "lone", home=tmp_path)
    assert lone.returncode == 2
    assert "'nothing'" in lone.stderr

    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command = [*launch, str(ROOT / "cli.py"), *map(str, train), "--epochs", "4", "--json"]
    done = subprocess.run(
        [*command, "--out", str(tmp_path / "run")],
        cwd=ROOT,
        env=os.environ | {"REBIRTH_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert len(json.loads(done.stdout)["losses"]) == 4  # one answer, of both processes
    assert list((tmp_path / "run" / "tensorboard" / "stage-1").glob("events.out.tfevents.*"))
