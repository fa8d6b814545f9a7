"""The workbench: the network to merge, with its images, from the user's settings."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from merges.graph import TraceError
from merges.network import Network, PatternError, found, narrowed
from merges.reading.read import Reading
from merges.rule import discover
from training import models, some_classes, teacher
from training.blocks.task import Recipe
from training.config import ModelConfig, is_onnx
from training.data.dataset import Data, Images
from training.data.loading import NO_DATA, DataSpec
from training.data.loading import load as load_images
from training.data.preprocess import Preprocess
from training.errors import BadInputError
from training.files import digest
from training.images.augment import changed
from training.judged_by import judged_by, require_metric
from training.judging import Judge
from training.progress import Note, Progress, Session
from training.sizes import Shape, Size, plane
from training.source import Habits, habits_of


def _left_out(setup: ModelConfig) -> tuple[str, ...]:
    """Rules that are not offered: on-request ones unless requested; without training, those that need it."""
    rules = discover().values()
    if setup.zero_shot:
        return tuple(rule.name for rule in rules if not (rule.exact or rule.inherits))
    asked = setup.low_rank or setup.only
    return tuple(rule.name for rule in rules if rule.on_request and not asked)


def _data_spec(setup: ModelConfig, shape: Shape) -> DataSpec:
    """The images to load, for a network of this input shape."""
    size = plane(shape)
    return DataSpec(setup.data, setup.eval_data, setup.labels, size, setup.seed, setup.max_images, shape[0])


def _loaded(setup: ModelConfig, habits: Habits, classes: int | None = None) -> models.LoadedModel:
    """Load the network; one without weights gets this many classes."""
    usual = None if is_onnx(setup.model) else habits.input_size
    size = setup.input_size or usual
    return models.load(setup.model, setup.weights, classes, setup.seed, setup.preprocess, size, setup.within)


@dataclass(frozen=True)
class Workbench:
    """A teacher with its images, ready for merging and judging.

    `model` is the teacher as the user wrote it. `metric` is what networks are judged by. `free` are the
    sizes that the network's file leaves free, of "batch", "height" and "width".
    """

    setup: ModelConfig
    network: Network
    data: Data
    preprocess: Preprocess
    model: nn.Module
    metric: str
    free: frozenset[str] = frozenset()

    @property
    def judge(self) -> Judge:
        """Judges networks by the metric."""
        return Judge(self.metric, self.network.untouched, tuple(self.network.outputs), self.inputs)

    @property
    def images_fingerprint(self) -> str:
        """Identifies the images, and how they are given to the network."""
        return digest([self.data.fingerprint, str(self.preprocess)])

    def inputs(self, images: Images) -> Callable[[Tensor], Tensor]:
        """Preprocessed images by index."""
        return lambda index: self.preprocess(images.pixels[index])

    def changed(self, index: Tensor) -> Tensor:
        """Preprocessed and augmented training images, by index."""
        return self.preprocess(changed(self.data.train.pixels[index]))

    def views(self, recipe: Recipe, progress: Progress) -> Tensor:
        """Preprocessed training images in several views: as they are, then augmented."""
        index = torch.arange(recipe.images)
        whole = self.preprocess(self.data.train.pixels[index])
        made = whole.new_empty(recipe.images, recipe.views, *whole.shape[1:], dtype=recipe.kept_as)
        made[:, 0] = whole
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(recipe.seed)
            for number in range(1, recipe.views):
                made[:, number] = self.changed(index)
                progress(number, recipe.views - 1)
        return made.flatten(0, 1)


def structure(
    model: str,
    input_size: Size | None = None,
    classes: int | None = None,
    weights: str | None = None,
    only: Collection[str] = (),
    skip: Collection[str] = (),
    low_rank: bool = False,
    within: str | None = None,
    needed: int | None = None,
    narrow: float | None = None,
) -> Network:
    """A network without data: enough for its sites and its latency.

    `classes` are the outputs of a network without weights; `needed` is how many of its classes are; `narrow`
    the share of its channels that it keeps.

    Raises
    ------
    BadInputError
        The model is unknown, cannot be read, or refuses the input size.
    """
    loaded = models.load(model, weights, classes, input_size=input_size, within=within)
    if needed and loaded.trained:
        loaded = some_classes.of_head(loaded, range(needed), some_classes.outputs_of(loaded))
    setup = ModelConfig(only=tuple(only), skip=tuple(skip), low_rank=low_rank, narrow=narrow)
    return _found(_read(loaded), setup, None)


def workbench(
    setup: ModelConfig,
    session: Session,
    check: Callable[[Network], object] = lambda network: None,
    trained: Mapping[str, Tensor] | None = None,
) -> Workbench:
    """Load the images and the teacher (trained on first use where it has no weights).

    `check` sees the network before anything is trained, and may refuse it. `trained` are the teacher's
    weights where another process has trained it.

    Raises
    ------
    BadInputError
        The model, the weights or the data are not usable, or do not fit each other.
    """
    require_metric(setup.metric)
    habits = habits_of(setup.data)
    loaded = _loaded(setup, habits)
    if setup.data == NO_DATA and not loaded.trained:
        raise BadInputError(
            f"{setup.model} has no weights and nothing to learn them from; give `weights` FILE"
        )
    images = _images(setup, loaded, session.watch("reading images"), session.note)
    if setup.classes:
        outputs = len(images.classes)
        images, kept = some_classes.of_images(images, setup.classes)
        session.note(f"only {len(kept)} of {outputs} classes are needed: {images.summary()}")
        loaded = some_classes.of_head(loaded, kept, outputs) if loaded.trained else loaded
    if not loaded.trained:
        loaded = _loaded(setup, habits, len(images.classes))
    photo = next((part.pixels[:1] for part in (images.train, images.test) if len(part)), None)
    photo = None if photo is None else loaded.preprocess(photo)[0]
    if trained is not None:
        loaded.model.load_state_dict(trained)
    reading = _read(loaded)
    untrained = _found(reading, setup, photo)
    for remark in untrained.remarks:
        session.note(remark)
    metric = judged_by(untrained, images, setup, session.note)
    check(untrained)
    epochs = 0 if trained is not None else _teacher_epochs(setup, habits, loaded, images)
    made = Workbench(setup, untrained, images, loaded.preprocess, loaded.model, metric, loaded.free)
    if epochs:
        teacher.train_teacher(loaded, images, teacher.Lessons(epochs, habits.change, setup.seed), session)
        made = replace(made, network=_found(reading, setup, photo))
    if setup.narrow is None:
        return made
    return _narrowed(made, setup.narrow, habits, session)


def _narrowed(made: Workbench, share: float, habits: Habits, session: Session) -> Workbench:
    """The workbench after its narrowed network has learned anew."""
    from training.finetune.fit import Inputs  # takes a second: only where it is needed
    from training.narrowing import learned

    train, setup = made.data.train, made.setup
    if not len(train):
        raise BadInputError("a narrowed network has to be trained; give `data`, or leave `narrow` out")
    images = Inputs(made.changed if habits.augment else made.inputs(train), len(train))
    about = f"{made.images_fingerprint} {habits.augment}"
    network = learned(made.network, share, images, about, made.judge.by_labels, setup.seed, session)
    return replace(made, network=network)


def _images(setup: ModelConfig, loaded: models.LoadedModel, progress: Progress, note: Note) -> Data:
    """Load the images, and tell the user about them."""
    images = load_images(_data_spec(setup, loaded.input_shape), progress)
    some = len(images.train) or len(images.test)
    if some:
        note(images.summary())
    for remark in images.remarks():
        note(remark)
    if some and loaded.fed:
        note(loaded.fed)
    if not loaded.trained and len(images.classes) < 2:
        classes = f"one class, {images.classes[0]!r}," if images.classes else "no classes"
        raise BadInputError(
            f"{images.spec} has {classes} and {setup.model} has no weights: there is "
            "nothing to learn; give a folder with one sub-folder of images per class, or `weights` FILE"
        )
    return images


def _teacher_epochs(setup: ModelConfig, habits: Habits, loaded: models.LoadedModel, images: Data) -> int:
    """The number of passes to train the teacher for."""
    epochs = setup.teacher_epochs
    if epochs is None:
        epochs = 0 if loaded.trained else habits.teacher_epochs
    elif epochs == 0 and not loaded.trained:
        raise BadInputError(
            f"{setup.model} has no weights and `teacher_epochs` is 0; "
            "give `weights` FILE or let it be trained"
        )
    if epochs and not images.train.labelled:
        raise BadInputError(
            f"the images of {setup.data} have no labels, and a teacher is trained with labels; "
            "give `weights` FILE of a trained network and no `teacher_epochs`"
        )
    return epochs


def _read(loaded: models.LoadedModel) -> Reading:
    try:
        return Reading.of(loaded.name, loaded.model, loaded.input_shape)
    except TraceError as error:
        raise BadInputError(str(error)) from error


def _found(reading: Reading, setup: ModelConfig, photo: Tensor | None) -> Network:
    """The network with its present weights, and the sites that the user allows."""
    try:
        network = found(reading, photo).without_softmax()
        if setup.narrow is not None:
            network = narrowed(network, setup.narrow)
            if network.wide is None:
                raise BadInputError(
                    f"with `narrow` {setup.narrow:g} no layer of {network.name} loses a channel (they go in "
                    "eights, and some must stay); give less, or leave it out"
                )
        return network.restricted(setup.only, setup.skip, _left_out(setup))
    except (TraceError, PatternError) as error:
        raise BadInputError(str(error)) from error
