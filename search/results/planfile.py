"""Plan files: versioned JSON, checked when loaded and against the network."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from search.results.points import Point
from search.study.recorded import Recorded
from training.config import ModelConfig, Share
from training.errors import BadInputError, first_fault
from training.files import replacing
from training.metric import Metric
from training.sizes import short

if TYPE_CHECKING:  # to read a plan, nobody shall wait for torch
    from merges.network import Network
    from merges.plan import Plan
    from search.scoring.score import Score

VERSION = 1
_MOST = 2**20
_Side = Annotated[int, Field(ge=1, le=_MOST)]


class PlanFile(BaseModel):
    """The plan that ``plan --out`` writes and ``train --plan`` reads.

    Latencies in milliseconds; accuracy and drop in percent, before training, by the study's `metric`;
    `drop_after` is what it loses after training, where that is known or estimated; `kind` and `basis` say
    what the latency is based on; `choices` maps sites to options, without kept sites; `within` names the
    part of the model that is the network, `narrow` the share of channels that its layers keep.
    """

    model_config = ConfigDict(extra="forbid")

    version: int = VERSION
    plan_id: str
    network: str
    fingerprint: str
    input_shape: tuple[_Side, _Side, _Side]
    classes: int | None = Field(default=None, ge=1, le=_MOST)
    target: str
    latency_ms: float
    baseline_latency_ms: float
    speedup: float
    kind: str
    basis: str
    choices: dict[str, str]
    within: str | None = None
    narrow: Share | None = None
    study: str | None = None
    trial: int | None = None
    metric: Metric | None = None
    accuracy: float | None = None
    drop: float | None = None
    drop_after: float | None = None
    setup: ModelConfig | None = None

    @classmethod
    def of_trial(cls, study: Recorded, point: Point) -> "PlanFile":
        """The plan of a finished trial."""
        made = study.record
        found = next(trial.record for trial in study.trials if trial.number == point.trial)
        return cls(
            plan_id=point.plan_id,
            network=made.network,
            fingerprint=made.fingerprint,
            input_shape=made.input_shape,
            classes=made.classes,
            target=made.target,
            latency_ms=point.latency_ms,
            baseline_latency_ms=made.baseline.cost.latency_ms,
            speedup=point.speedup,
            kind=found.cost.kind,
            basis=found.cost.basis,
            choices=found.plan,
            within=made.model.within,
            narrow=made.model.narrow,
            study=study.name,
            trial=point.trial,
            metric=made.proxy.metric,
            accuracy=point.accuracy,
            drop=point.drop,
            drop_after=point.drop_after,
            setup=made.model,
        )

    @classmethod
    def of_plan(cls, network: "Network", plan: "Plan", target: str, score: "Score") -> "PlanFile":
        """A plan without a study (a preset)."""
        return cls(
            plan_id=plan.plan_id,
            network=network.name,
            fingerprint=network.fingerprint,
            input_shape=network.input_shape,
            classes=network.classes,
            target=target,
            latency_ms=score.latency_ms,
            baseline_latency_ms=score.baseline_ms,
            speedup=score.speedup,
            kind=score.total.kind,
            basis=score.total.basis(),
            choices=dict(plan),
        )

    @classmethod
    def load(cls, path: Path) -> "PlanFile":
        """Read a plan.

        Raises
        ------
        BadInputError
            The file does not exist, is not a plan, or is of another version.
        """
        try:
            values: Any = json.loads(path.read_text())
            loaded = cls(**values)
        except OSError as error:
            raise BadInputError(
                f"plan {path} cannot be read ({error.strerror}); 'plan --out FILE' writes one"
            ) from error
        except ValidationError as error:
            raise BadInputError(
                f"{path} is not a plan: {first_fault(error)}; 'plan --out FILE' writes one"
            ) from error
        except (ValueError, TypeError, RecursionError) as error:
            raise BadInputError(f"{path} is not a plan ({error}); 'plan --out FILE' writes one") from error
        if loaded.version != VERSION:
            raise BadInputError(
                f"plan {path} has version {loaded.version}; this program reads version {VERSION}"
            )
        return loaded

    @property
    def on_request(self) -> bool:
        """Whether the plan has sites that are offered only on request."""
        from merges.rule import rule_of

        return any(rule.on_request for rule in map(rule_of, self.choices) if rule)

    def setup_with(self, given: Mapping[str, Any], trust: bool = False) -> ModelConfig:
        """What to load for this plan: its own setup, overridden by what the user gives.

        Code that the plan names is loaded only with `trust`, or if the user gives its name.

        Raises
        ------
        BadInputError
            The plan has no setup (a preset), and no data is given; it names code that is not trusted; or a
            field is unknown.
        """
        from training.source import from_anywhere
        from training.trust import require_trusted

        if unknown := given.keys() - ModelConfig.model_fields:
            known = ", ".join(sorted(ModelConfig.model_fields))
            raise BadInputError(f"unknown field `{min(unknown)}`; expected one of {known}")
        if self.setup is None and given.get("data") is None:
            raise BadInputError(
                f"plan {self.plan_id} names no data; give `data`, and `weights` for a trained network"
            )
        own = self.setup or ModelConfig(
            model=self.network, within=self.within, narrow=self.narrow, input_size=short(self.input_shape)
        )
        changed = {key: value for key, value in given.items() if value is not None}
        made = own.model_copy(update=changed | {"low_rank": self.on_request, "zero_shot": False})
        require_trusted(made, changed.values(), trust)
        return from_anywhere(made)

    def save(self, path: Path) -> None:
        """Write the plan in one step."""
        with replacing(path) as temporary:
            temporary.write_text(json.dumps(self.model_dump(mode="json"), indent=2) + "\n")

    def fitted(self, network: "Network") -> "Plan":
        """The plan, checked against a network.

        Raises
        ------
        BadInputError
            The plan was made for another network structure.
        """
        from merges.plan import Plan, PlanError

        try:
            plan = Plan.make(network, self.choices)
        except PlanError as error:
            raise BadInputError(str(error)) from error
        if self.fingerprint != network.fingerprint:
            raise BadInputError(
                f"the plan was made for {self.network} {self.input_shape} (fingerprint {self.fingerprint}), "
                f"not for this {network.name} {network.input_shape} ({network.fingerprint}); "
                "use the same model, classes and input size"
            )
        return plan
