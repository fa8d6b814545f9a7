"""Chooses what networks are judged by: labels where they classify labelled images, else their answers."""

from merges.network import Network
from merges.reading.check import answers_of, example_images
from training import factories
from training.config import ModelConfig
from training.data.dataset import Data
from training.errors import BadInputError
from training.metric import ANSWERS, BY_LABELS, DEFAULT, WEIGHTS, is_own
from training.progress import Note

_INSTEAD = f"or `metric` {ANSWERS}: how much of its answers is kept, which needs no labels"


def require_metric(metric: str | None) -> None:
    """Refuse a metric of the user's own that there is not, before anything is read.

    Raises
    ------
    BadInputError
        Its module cannot be imported, or does not define it.
    """
    if metric is None or not is_own(metric):
        return
    try:
        function = factories.found(metric)
    except (Exception, SystemExit) as error:
        raise BadInputError(
            f"the metric {metric} cannot be had ({type(error).__name__}: {error}); expected an importable "
            "package.module:function of a network and images"
        ) from error
    if not callable(function):
        raise BadInputError(f"the metric {metric} is a {type(function).__name__}; expected a function")


def judged_by(network: Network, images: Data, setup: ModelConfig, note: Note) -> str:
    """The metric: as the user asks, or by the network and its images; what was chosen is said.

    Raises
    ------
    BadInputError
        Labels shall judge what does not classify these images, or an output cannot be learned from.
    """
    asked = setup.metric
    _check_floating(network)
    if asked == WEIGHTS and not setup.zero_shot:
        raise BadInputError(f"`metric` {asked} goes with `zero_shot`: trained weights are other weights")
    if asked and asked not in BY_LABELS:
        return asked
    returned = " and ".join(f"{name} {'x'.join(map(str, shape))}" for name, shape in network.outputs.items())
    unlabelled = bool(len(images.proxy)) and not images.proxy.labelled
    if asked is None and (network.classes is None or unlabelled):
        why = f"the images of {images.judge_spec or images.spec} have no labels"
        if network.classes is None:
            why = f"{network.name} returns {returned}, no vector of class scores"
        note(f"plans are judged by how much of the answers they keep (`metric` {ANSWERS}): {why}")
        return ANSWERS
    if network.classes is None:
        raise BadInputError(
            f"{network.name} returns {returned}: `metric` {asked} needs one vector of class scores; "
            f"give a function of your own, {_INSTEAD}"
        )
    if unlabelled:
        raise BadInputError(
            f"the images of {images.judge_spec or images.spec} have no labels, and `metric` {asked} needs "
            f"them; give one sub-folder of images per class, {_INSTEAD}"
        )
    if images.classes and network.classes != len(images.classes):
        named = f"{setup.labels} names" if setup.labels else f"{images.spec} has"
        raise BadInputError(
            f"{network.name} has {network.classes} outputs but {named} {len(images.classes)} classes; "
            f"give the data that it was trained for, or `labels` FILE, one class per line in their order, "
            f"{_INSTEAD}"
        )
    return asked or DEFAULT


def _check_floating(network: Network) -> None:
    """Refuse whole numbers, such as the places of the largest scores: they show no way to better ones."""
    answers = answers_of(network.teacher, example_images(network.input_shape, 1))
    for name, answer in zip(network.outputs, answers, strict=True):
        if not answer.is_floating_point():
            kind = str(answer.dtype).removeprefix("torch.")
            raise BadInputError(
                f"the output {name} of {network.name} holds whole numbers ({kind}), which cannot be learned "
                "from; leave what makes them (an argmax, say) to the code around the network, and give the "
                "part below it (`within` NAME)"
            )
