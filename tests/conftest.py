"""Fixtures that several tests share."""

from pathlib import Path

import pytest
import torch

from merges.network import Network, analyse
from tests import networks

SHARED = Path(__file__).parents[2] / "shared" / "data"
BUILDERS = {name: getattr(networks, name) for name in ("with_batch_norm", "with_lrn", "fire", "mixed")}


@pytest.fixture(scope="session", autouse=True)
def two_threads() -> None:
    torch.set_num_threads(2)


@pytest.fixture(scope="session", params=sorted(BUILDERS))
def network(request: pytest.FixtureRequest) -> Network:
    return analyse(request.param, BUILDERS[request.param](), (3, 24, 24))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real weights and photos."""
    if not (SHARED / "bvlc_googlenet.safetensors").exists():
        pytest.skip("the real weights and photos are not on this machine")
    return SHARED
