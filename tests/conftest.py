"""Fixtures that several tests share."""

import functools
import os
import signal
from pathlib import Path

import pytest
import torch
from hypothesis import settings

from merges.network import Network, analyse
from tests import networks
from tests.program import search

SHARED = Path(__file__).parents[2] / "shared" / "data"
_NETWORKS = ("with_batch_norm", "with_lrn", "fire", "mixed", "inverted", "convnext")
BUILDERS = {name: getattr(networks, name) for name in _NETWORKS}

SLOW = (  # files whose tests start the program, a server or a browser, or compute for long
    *("test_cli", "test_page", "test_wheel", "test_plugins", "test_boards", "test_random_networks"),
    *("test_learning", "test_onnx_export", "test_runtimes", "test_warmstart"),
    *(
        "test_availability",
        "test_fit",
        "test_trust",
        "test_fuzz",
        "test_first_hour",
        "test_rivals",
        "test_some_classes",
    ),
)

settings.register_profile("untimed", deadline=None)  # the first example may import a library
settings.load_profile("untimed")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what ``-m "not slow"`` leaves out."""
    for item in items:
        if item.path.name.startswith(SLOW):
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session", autouse=True)
def share_of_the_cores() -> None:
    """Threads that spin for the same core slow each other ten times: each test process gets its own."""
    processes = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    threads = max(1, 2 // processes)
    torch.set_num_threads(threads)
    os.environ["REBIRTH_THREADS"] = os.environ["OMP_NUM_THREADS"] = str(
        threads
    )  # for the programs that tests start


@pytest.fixture(scope="session", autouse=True)
def ctrl_c_is_heard() -> None:
    """Also where the tests run in the background of a shell, which has their programs ignore it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@functools.cache
def analysed(name: str) -> Network:
    """One of the test networks, read once; it must not be changed."""
    torch.manual_seed(0)  # whatever ran before
    return analyse(name, BUILDERS[name](), (3, 24, 24))


@pytest.fixture(scope="session", params=sorted(BUILDERS))
def network(request: pytest.FixtureRequest) -> Network:
    return analysed(request.param)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real weights and photos."""
    if not (SHARED / "bvlc_googlenet.safetensors").exists():
        pytest.skip("the real weights and photos are not on this machine")
    return SHARED


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a study of six finished trials."""
    where = tmp_path_factory.mktemp("home")
    done = search(where, 6)
    assert done.returncode == 0, done.stderr
    assert "Pareto front of 6 finished trials" in done.stdout
    assert "cli.py plan --study small" in done.stdout
    return where
