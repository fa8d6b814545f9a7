"""What plans reach after training, kept with their study: finished trials take no more attributes."""

import optuna
from pydantic import BaseModel, ConfigDict

_AFTER = "after training"  # the study's attribute, by trial


class After(BaseModel):
    """What a plan reaches after a short training, on the test images.

    `value` and `untouched` are top-1 where labels judge, else by the study's metric; `interval` is 95 %
    confidence; `run` is the folder of the training.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    passes: int
    value: float
    interval: tuple[float, float] | None
    untouched: float
    images: int
    run: str
    seconds: float

    def write(self, study: optuna.Study, trial: int) -> None:
        """Record this of a trial's plan."""
        known = study.user_attrs.get(_AFTER, {})
        study.set_user_attr(_AFTER, known | {str(trial): self.model_dump(mode="json")})

    @classmethod
    def of(cls, study: optuna.Study) -> dict[int, "After"]:
        """What plans reach after training, by trial."""
        found = study.user_attrs.get(_AFTER, {})
        return {int(trial): cls.model_validate(values) for trial, values in found.items()}
