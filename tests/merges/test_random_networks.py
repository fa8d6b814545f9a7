"""Random networks are read and merged rightly, or refused in words."""

from pathlib import Path
from random import Random

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from merges.graph import TraceError
from merges.network import analyse
from tests.merges.random_checks import (
    TOLERANCE,
    error_of,
    images_for,
    random_plan,
    shapes_of,
    wrong_export,
    wrong_options,
)
from tests.merges.random_networks import CLASSES, SHAPE, RandomNetwork, random_networks

_EXAMPLES, _EXPORTED = 60, 20  # every twentieth is exported and read again: it takes as long as all else
_REFUSED_PERCENT = 2


def test_random_networks_keep_their_answers(tmp_path: Path) -> None:
    images = images_for(SHAPE)
    tried: list[RandomNetwork] = []
    refused: list[str] = []

    @settings(
        max_examples=_EXAMPLES,
        database=None,
        derandomize=True,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(random_networks(parts=3), st.integers(0, 999))
    def holds(model: RandomNetwork, seed: int) -> None:
        tried.append(model)
        try:
            network = analyse("random", model, SHAPE)
        except TraceError as error:
            refused.append(str(error))
            return
        assert error_of(network.teacher, model, images) <= TOLERANCE
        assert wrong_options(network, model, images, learned=False) == []
        merged = network.merged(random_plan(network, Random(seed)))
        assert shapes_of(merged, images) == [(len(images), CLASSES)]
        if len(tried) % _EXPORTED == 0:
            assert wrong_export(merged, images, tmp_path / "merged.onnx") == []

    holds()
    assert len(refused) <= _REFUSED_PERCENT / 100 * len(tried), refused
