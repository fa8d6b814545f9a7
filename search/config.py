"""What a search is asked for."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from search.proxy import Proxy
from search.space.bounds import Limits
from training.config import ModelConfig
from training.data.loading import NO_DATA
from training.models.loading import is_onnx
from training.sizes import Shape, written


@dataclass(frozen=True)
class SearchConfig:
    """A network, a target, and what may be spent on the search.

    With `proxy_seconds`, the proxy takes as many steps as fit into them. `bank` is the address of learned
    layers, elsewhere than in the program's home. `goals` are objectives beside latency and accuracy, and
    `also_targets` targets whose latencies are objectives too.
    """

    setup: ModelConfig
    proxy: Proxy
    target: str
    budget: int
    sampler: str
    name: str | None = None
    resume: bool = True
    workers: int = 1
    limits: Limits = field(default_factory=Limits)
    proxy_seconds: float | None = None
    bank: str | None = None
    goals: tuple[str, ...] = ()
    also_targets: tuple[str, ...] = ()

    def arguments(self) -> dict[str, Any]:
        """What a study records of them beside its setup."""
        recorded = ("proxy_seconds", "budget", "sampler", "target", "proxy", "limits")
        return {name: value for name, value in asdict(self).items() if name in recorded}

    def study_name(self, shape: Shape) -> str:
        """The study's name: the one given, or one of network, targets, data and the input's `shape`."""
        if self.name:
            return self.name
        data = self.setup.data if self.setup.data != NO_DATA else self.setup.eval_data or "zero-shot"
        kind, _, folder = data.partition(":")
        model = self.setup.model.replace(":", ".")
        model = Path(model).stem if is_onnx(model) else model
        targets = "+".join((self.target, *self.also_targets))
        return f"{model}-{targets}-{Path(folder).name or kind}-{written(shape)}"
