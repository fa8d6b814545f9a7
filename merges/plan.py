"""A plan: an option at every site of one network. Frozen, canonical, JSON."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from merges.network import Network


class PlanError(ValueError):
    """A plan does not fit the network; the message names the site and what was expected."""


@dataclass(frozen=True)
class Plan(Mapping[str, str]):
    """By site its option, in the order of the network's sites; sites that are kept are left out."""

    fingerprint: str
    choices: tuple[tuple[str, str], ...]

    @classmethod
    def make(cls, network: Network, choices: Mapping[str, str]) -> "Plan":
        """The canonical plan of some choices: conflicts repaired, kept sites left out.

        Raises
        ------
        PlanError
            A site or an option does not exist in this network.
        """
        options = {site.id: site.names for site in network.sites}
        for site, option in choices.items():
            if site not in options:
                raise PlanError(f"{network.name} has no site {site!r}; 'sites' lists them")
            if option not in options[site]:
                raise PlanError(f"site {site} has no option {option!r}; it has {', '.join(options[site])}")
        made: dict[str, str] = {}
        for block in network.blocks:
            made |= network.outlines.possible(block, block.choices(choices))
        return cls(network.fingerprint, tuple((s, made[s]) for s in options if s in made))

    def __getitem__(self, site: str) -> str:
        return self._options[site]

    def __iter__(self) -> Iterator[str]:
        return iter(self._options)

    def __len__(self) -> int:
        return len(self.choices)

    @cached_property
    def _options(self) -> dict[str, str]:
        return dict(self.choices)

    @cached_property
    def plan_id(self) -> str:
        """Ten hexadecimal digits that name the plan; equal plans have equal names."""
        text = json.dumps([self.fingerprint, self.choices])
        return hashlib.sha256(text.encode()).hexdigest()[:10]
