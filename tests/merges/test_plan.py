"""Plans are canonical, repeatable and checked."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from merges.network import Network, PatternError, analyse
from merges.plan import Plan, PlanError
from tests import networks

NETWORK = analyse("with_batch_norm", networks.with_batch_norm(), (3, 24, 24))
CHOICES = st.fixed_dictionaries({site.id: st.sampled_from(site.names) for site in NETWORK.sites})


@settings(max_examples=20)
@given(choices=CHOICES)
def test_a_plan_is_its_own_canonical_form_and_runs(choices: dict[str, str]) -> None:
    plan = Plan.make(NETWORK, choices)
    assert Plan.make(NETWORK, plan) == plan
    assert Plan.make(NETWORK, dict(reversed(choices.items()))).plan_id == plan.plan_id
    with torch.no_grad():
        assert NETWORK.merged(plan)(torch.randn(2, 3, 24, 24)).shape == (2, 10)


@settings(max_examples=20)
@given(first=CHOICES, second=CHOICES)
def test_equal_ids_mean_equal_choices(first: dict[str, str], second: dict[str, str]) -> None:
    one, other = Plan.make(NETWORK, first), Plan.make(NETWORK, second)
    assert (one.plan_id == other.plan_id) == (one == other)


def test_unknown_sites_and_options_are_named() -> None:
    with pytest.raises(PlanError, match="no site 'branch:nowhere'"):
        Plan.make(NETWORK, {"branch:nowhere": "keep"})
    site = NETWORK.sites[0]
    with pytest.raises(PlanError, match="no option 'melt'"):
        Plan.make(NETWORK, {site.id: "melt"})


def test_blocks_cover_every_site_once_and_do_not_overlap(network: Network) -> None:
    held = [site.id for block in network.blocks for site in block.sites]
    assert sorted(held) == sorted(site.id for site in network.sites)
    assert len(set(held)) == len(held)


def test_the_fingerprint_follows_the_structure_not_the_weights() -> None:
    torch.manual_seed(5)
    again = analyse("with_batch_norm", networks.with_batch_norm(), (3, 24, 24))
    for parameter in again.teacher.parameters():
        parameter.data.mul_(2)
    assert again.fingerprint == NETWORK.fingerprint
    assert again.weights_fingerprint != NETWORK.weights_fingerprint
    assert analyse("x", networks.with_batch_norm(), (3, 26, 26)).fingerprint != NETWORK.fingerprint


def test_sites_can_be_restricted_by_pattern() -> None:
    some = NETWORK.restricted(only=["streamline:*"], skip=[])
    assert {site.rule for site in some.sites} == {"streamline"}
    rest = NETWORK.restricted(only=[], skip=["streamline:*"])
    assert {s.id for s in (*some.sites, *rest.sites)} == {s.id for s in NETWORK.sites}
    assert some.fingerprint == NETWORK.fingerprint
    plan = Plan.make(some, {some.sites[0].id: some.sites[0].names[-1]})
    assert Plan.make(NETWORK, plan).plan_id == plan.plan_id
    with pytest.raises(PatternError, match="'nowhere'"):
        NETWORK.restricted(only=["nowhere"], skip=[])
