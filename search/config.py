"""The settings of a search."""

from collections.abc import Container, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import ValidationError

from search.proxy import Proxy
from search.samplers import DEFAULT, names
from search.scoring.objectives import ALWAYS, wanted
from search.space.limits import Limits
from training.config import ModelConfig, is_onnx
from training.data.loading import NO_DATA
from training.errors import BadInputError, first_fault
from training.metric import WEIGHTS
from training.sizes import Shape, written
from training.source import from_anywhere


@dataclass(frozen=True)
class SearchConfig:
    """A network, a target, and the budget of the search.

    Attributes
    ----------
    setup : the network, its weights and images
    proxy : how a plan is judged
    budget : finished trials
    scheduler : address of a Dask cluster whose workers judge plans
    proxy_seconds : a trial's time; the proxy takes as many steps as fit into it
    bank : where learned layers are kept, if not in the program's home
    finish : plans around the front's knee that are trained shortly at the end
    goals : objectives beside latency and accuracy
    also_targets : targets whose latencies are objectives too
    """

    setup: ModelConfig
    proxy: Proxy
    target: str
    budget: int
    sampler: str
    name: str | None = None
    resume: bool = True
    workers: int = 1
    scheduler: str | None = None
    limits: Limits = field(default_factory=Limits)
    proxy_seconds: float | None = None
    bank: str | None = None
    finish: int = 0
    goals: tuple[str, ...] = ()
    also_targets: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse a scheduler that others can reach without TLS: what comes from it is unpickled.

        Raises
        ------
        BadInputError
            The address is neither on this machine nor behind TLS.
        """
        where = urlsplit(self.scheduler or "tls:")
        if where.scheme != "tls" and where.hostname not in ("127.0.0.1", "localhost", "::1"):
            raise BadInputError(
                f"`scheduler` is {self.scheduler!r}; expected tcp://127.0.0.1:PORT, or tls://HOST:PORT with "
                "the certificates of Dask's configuration: whoever reaches a scheduler can run code"
            )

    @classmethod
    def of(
        cls,
        target: str | Sequence[str] = "arm-a57",
        budget: int = 100,
        sampler: str = DEFAULT,
        objectives: str = ",".join(ALWAYS),
        proxy_steps: int = Proxy.finetune_steps,
        max_latency: str | None = None,
        max_drop: float | None = None,
        max_memory: float | None = None,
        max_params: float | None = None,
        **more: Any,
    ) -> "SearchConfig":
        """Make a config from fields named like the flags of ``search``, with the same defaults.

        Raises
        ------
        BadInputError
            A field is unknown, has an impossible value, or excludes another.
        """
        if more.get("narrow") == 1:
            more["narrow"] = None  # all channels
        targets = list(dict.fromkeys([target] if isinstance(target, str) else target))
        setup, rest = _split(more, ModelConfig.model_fields)
        proxy, own = _split(rest, ("bank_images", "bank_steps", "relearn_steps"))
        if sampler not in names():
            raise BadInputError(f"unknown sampler {sampler!r}; expected one of {', '.join(names())}")
        unknown = own.keys() - {"name", "resume", "workers", "scheduler", "proxy_seconds", "bank", "finish"}
        if unknown:
            raise BadInputError(f"unknown field `{min(unknown)}`; expected those of 'search --help'")
        trained = [
            name
            for name in ("proxy_seconds", "teacher_epochs", "finish", "narrow")
            if (setup | own).get(name)
        ]
        if setup.get("zero_shot") and trained:
            raise BadInputError(
                f"`{trained[0]}` goes with training; `zero_shot` trains nothing: leave one out"
            )
        if setup.get("zero_shot") and "data" not in setup:
            setup["data"] = NO_DATA
            if not setup.get("eval_data"):
                setup["metric"] = WEIGHTS
        return cls(
            setup=_model_config(setup),
            proxy=Proxy(finetune_steps=proxy_steps, **proxy),
            target=targets[0],
            also_targets=tuple(targets[1:]),
            goals=wanted(objectives),
            budget=budget,
            sampler=sampler,
            limits=Limits(max_latency, max_drop, max_memory, max_params),
            **own,
        )

    def arguments(self) -> dict[str, Any]:
        """The settings that a study records beside its setup."""
        recorded = ("proxy_seconds", "budget", "sampler", "target", "proxy", "limits")
        return {name: value for name, value in asdict(self).items() if name in recorded}

    def study_name(self, shape: Shape) -> str:
        """The study's name: as given, or made of network, targets, data and input `shape`."""
        if self.name:
            return self.name
        data = self.setup.data if self.setup.data != NO_DATA else self.setup.eval_data or "zero-shot"
        kind, _, folder = data.partition(":")
        model = self.setup.model.replace(":", ".")
        model = Path(model).stem if is_onnx(model) else model
        model += f"-{self.setup.within}" if self.setup.within else ""
        model += f"-narrow-{self.setup.narrow:g}" if self.setup.narrow else ""
        targets = "+".join((self.target, *self.also_targets))
        return f"{model}-{targets}-{Path(folder).name or kind}-{written(shape)}"


def _model_config(fields: Mapping[str, Any]) -> ModelConfig:
    try:
        return from_anywhere(ModelConfig(**fields))
    except ValidationError as error:
        field, _, reason = first_fault(error).partition(": ")
        raise BadInputError(f"`{field}` is {fields.get(field)!r}: {reason}") from error


def _split(given: Mapping[str, Any], names: Container[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Fields with these names (those that are None left out), and the other fields."""
    named = {name: value for name, value in given.items() if name in names and value is not None}
    return named, {name: value for name, value in given.items() if name not in names}
