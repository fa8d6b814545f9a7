"""The settings of the network and its images."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from training.metric import Metric
from training.sizes import Size, possible

DEFAULT_DATA = "digits"  # needs no files


def _possible(size: Size | None) -> Size | None:
    """Refuse sizes that no image has, as an edited file may hold them."""
    if size is not None and not possible(size):
        raise ValueError("no size of an image")
    return size


Share = Annotated[float, Field(gt=0, lt=1)]


class ModelConfig(BaseModel):
    """Everything that decides what is learned; recorded in the study and in every plan."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str = "googlenet"
    within: str | None = None  # the part of the model that is the network
    metric: Metric | None = None  # None: by the network and its images
    weights: str | None = None
    preprocess: str | None = None
    data: str = DEFAULT_DATA
    eval_data: str | None = None
    labels: str | None = None
    classes: str | None = None  # a file with those that are needed
    input_size: Annotated[Size | None, AfterValidator(_possible)] = None
    teacher_epochs: int | None = None
    max_images: int = 20000
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    only: tuple[str, ...] = ()
    skip: tuple[str, ...] = ()
    narrow: Share | None = None  # the share of channels that every layer keeps
    low_rank: bool = False  # sites of rules too that are offered on request alone
    zero_shot: bool = False


def is_onnx(model: str) -> bool:
    """Whether a model's name is that of an ONNX file."""
    return model.lower().endswith(".onnx")


def is_factory(model: str) -> bool:
    """Whether a model's name is that of a function of the user's own, ``package.module:factory``."""
    return ":" in model and not is_onnx(model)
