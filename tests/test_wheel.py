"""An installed copy lies under one name, and meets no package of the user's."""

import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
NET = """
from torch import nn

def factory():
    layers = [nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2, 2)]
    layers += [nn.Conv2d(8, 16, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return nn.Sequential(*layers, nn.Linear(16, 10))
"""
ONE_NAME = """
import sys
from pathlib import Path
import rebirth, search
assert search.MINE
rebirth.front(rebirth.Study("s", Path("home")))
parts = [name.removeprefix("rebirth.parts.") for name in sys.modules if name.startswith("rebirth.parts.")]
twice = {name for name in parts if name in sys.modules} - {"search"}
assert parts and not twice, twice
"""


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of an environment with the wheel, and the packages that it needs."""
    folder = tmp_path_factory.mktemp("wheel")
    build = (sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation")
    subprocess.run([*build, "--wheel-dir", str(folder), str(ROOT)], check=True)
    venv.create(folder / "env")
    (packages,) = (folder / "env").glob("lib/python*/site-packages")
    (wheel,) = folder.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(packages)
    (packages / "needs.pth").write_text(sysconfig.get_path("purelib"))
    return folder / "env" / "bin" / "python"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's folder with modules of our names."""
    folder = tmp_path_factory.mktemp("project")
    (folder / "training").mkdir()
    (folder / "training" / "__init__.py").touch()
    (folder / "training" / "net.py").write_text(NET)
    (folder / "search.py").write_text("MINE = True\n")
    return folder


def run(python: Path, project: Path, *arguments: str) -> str:
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [str(python), *arguments], cwd=project, env=clean, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_wheel_searches_a_users_own_module_and_has_no_class_under_two_names(
    python: Path, project: Path
) -> None:
    small = ("--teacher-epochs", "1", "--bank-steps", "2", "--bank-images", "16", "--proxy-steps", "1")
    where = ("--home", "home", "--study", "s", "--input-size", "24", "--budget", "3")
    said = run(python, project, "-m", "rebirth", "search", "--model", "training.net:factory", *small, *where)
    assert "rebirth plan --study s" in said
    assert "cli.py" not in said
    run(python, project, "-c", ONE_NAME)


def test_the_wheel_holds_nothing_but_one_package(python: Path) -> None:
    (packages,) = python.parents[1].glob("lib/python*/site-packages")
    tops = {path.name for path in packages.iterdir() if path.is_dir() and not path.name.endswith("-info")}
    assert tops == {"rebirth"}
    assert (packages / "rebirth" / "parts" / "search" / "results" / "page.html").exists()
    emulation = packages / "rebirth" / "parts" / "latency_models" / "emulation"
    assert (emulation / "counter.c").exists()
    assert {path.name for path in (emulation / "counts").iterdir()} >= {"ncnn.csv.gz", "onnxruntime.csv.gz"}
