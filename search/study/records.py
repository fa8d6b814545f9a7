"""The records of a study and its finished trials: one document each, read and written only here."""

from collections.abc import Mapping
from typing import Any, TypeVar

import optuna
from optuna.trial import FrozenTrial
from pydantic import BaseModel, ConfigDict, ValidationError

from search.proxy import Proxy
from training.config import ModelConfig
from training.errors import BadInputError, first_fault

VERSION = 1
_DOCUMENT = "rebirth"  # the attribute that holds a record
_UNTOUCHED, _UNMERGED = ("", ""), ("", "unmerged")
# Of the latency with nothing merged: what timings that another process made anew may differ by, and others.
NOISE, _SAME = 0.05, 0.001


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Cost(_Record):
    """A plan's costs, known before it is trained.

    Latencies in milliseconds; `kind` is the weakest evidence they are based on, `basis` describes it, and
    `error` is the expected relative error.
    """

    latency_ms: float
    by_class_ms: dict[str, float]
    kind: str
    basis: str
    error: float
    macs: int
    parameters: int


class Accuracies(_Record):
    """Accuracies of a network on the proxy split, in percent."""

    expected: float
    top1: float
    top5: float
    top1_standard_error: float


class Baseline(_Record):
    """The untouched network; `accuracy` is by the study's metric, in percent."""

    cost: Cost
    accuracy: float
    accuracies: Accuracies | None
    goals: dict[str, float]


_R = TypeVar("_R", bound=_Record)


class StudyRecord(_Record):
    """Everything that a study was made with.

    `images` holds the size of each split and the names of files left out; `options` what each option alone
    saves (milliseconds) and its estimated loss, by site; `unmerged_ms` is the latency with nothing merged.
    `latency_fingerprint` is that of a table, or of prices and counts; empty where kernels are measured as
    needed.
    """

    version: int = VERSION
    network: str
    fingerprint: str
    weights_fingerprint: str
    input_shape: tuple[int, int, int]
    classes: int | None
    target: str
    latency_source: str
    latency_fingerprint: str = ""
    data_fingerprint: str
    preprocess: str = ""  # not known of older studies
    images: dict[str, Any]
    model: ModelConfig
    proxy: Proxy
    goals: tuple[str, ...]
    options: dict[str, dict[str, tuple[float, float]]]
    unmerged_ms: float | None = None
    baseline: Baseline
    arguments: dict[str, Any]
    versions: dict[str, str]
    created: str

    def check_same(self, study: str, other: "StudyRecord") -> None:
        """Refuse to continue a study that another search made.

        Raises
        ------
        BadInputError
            They differ in something that decides results; the message names the first.
        """
        ours, theirs = other._identity(), self._identity()
        if not self.preprocess:
            del ours["preprocess"]
        for what, value in ours.items():
            if theirs[what] != value:
                raise BadInputError(another(study, what, theirs[what], value))
        known, today = self._latencies_ms(), other._latencies_ms()
        before, now = known[_UNTOUCHED], today[_UNTOUCHED]
        most = known.get(_UNMERGED, before) * (_SAME if other.latency_fingerprint else NOISE)
        if any(abs(ms - known.get(what, ms)) > most for what, ms in today.items()):
            raise BadInputError(
                f"latencies on {self.target} are not those that study {study!r} was begun with (the "
                f"untouched network took {before:.3g} ms and takes {now:.3g} ms now: other timings or "
                "counts, or another version of this program); choose another `study`"
            )

    def _latencies_ms(self) -> dict[tuple[str, str], float]:
        """That of the untouched network, and what every option saves."""
        saved = {(site, name): ms for site, found in self.options.items() for name, (ms, _) in found.items()}
        unmerged = {} if self.unmerged_ms is None else {_UNMERGED: self.unmerged_ms}
        return saved | unmerged | {_UNTOUCHED: self.baseline.cost.latency_ms}

    def _identity(self) -> dict[str, Any]:
        names = ("network", "fingerprint", "weights_fingerprint", "target", "data_fingerprint", "proxy")
        of_model = ("within", "narrow", "only", "skip", "low_rank", "zero_shot")
        own = {name: getattr(self, name) for name in (*names, "preprocess", "goals")}
        return {name: getattr(self.model, name) for name in of_model} | own  # the first that differs is told

    def write(self, study: optuna.Study) -> None:
        """Write the record to a new study."""
        study.set_user_attr(_DOCUMENT, self.model_dump(mode="json"))

    @classmethod
    def read(cls, study: optuna.Study) -> "StudyRecord":
        """Read the record of a study.

        Raises
        ------
        BadInputError
            The study was made by something else, or by another version of this program.
        """
        return _read(cls, study.user_attrs, f"study {study.study_name!r}")


class TrialRecord(_Record):
    """The result of a finished trial; `plan` maps sites to options, without kept sites.

    `kept` is the share of each output that is kept, in percent, where answers judge.
    """

    version: int = VERSION
    plan: dict[str, str]
    plan_id: str
    cost: Cost
    accuracies: Accuracies | None
    kept: dict[str, float] = {}
    seconds: float
    peak_activation_bytes: int

    def write(self, trial: optuna.Trial) -> None:
        """Write the record to a judged trial."""
        for name, value in self.attributes().items():
            trial.set_user_attr(name, value)

    def attributes(self) -> dict[str, Any]:
        """The record as attributes of a trial."""
        return {_DOCUMENT: self.model_dump(mode="json")}

    @classmethod
    def read(cls, trial: FrozenTrial) -> "TrialRecord":
        """Read the record of a finished trial.

        Raises
        ------
        BadInputError
            The trial was recorded by something else, or by another version of this program.
        """
        return cls.of(trial.user_attrs, trial.number)

    @classmethod
    def of(cls, attributes: Mapping[str, Any], number: int) -> "TrialRecord":
        """Read the record among the attributes of a trial; see `read`."""
        return _read(cls, attributes, f"trial {number}")


def _read(kind: type[_R], attributes: Mapping[str, Any], what: str) -> _R:
    if _DOCUMENT not in attributes:
        raise BadInputError(f"{what} was not made by this program's 'search', or by an earlier version of it")
    try:
        return kind.model_validate(attributes[_DOCUMENT])
    except ValidationError as error:
        raise BadInputError(
            f"{what} was recorded by another version of this program ({first_fault(error)})"
        ) from error


def another(study: str, what: str, theirs: object, ours: object) -> str:
    """The message that a study cannot be continued."""

    def shown(value: object) -> str:
        return (", ".join(map(repr, value)) or "none") if isinstance(value, tuple) else repr(value)

    return (
        f"study {study!r} was made with {what} {shown(theirs)}, not {shown(ours)}; "
        "choose another `study` name, or give the same arguments"
    )
