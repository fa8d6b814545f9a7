"""Loads images for training, for judging plans (proxy) and for the final accuracy (test).

Images are decoded once, resized and kept in memory as bytes; a file that cannot be decoded is left
out, named and counted.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from sklearn.model_selection import train_test_split
from torch import Tensor

from merges.sizes import sides
from training.config import DEFAULT_DATA
from training.data.dataset import Data, Images
from training.data.labels import outputs_of
from training.errors import BadInputError
from training.images.image_list import UNLABELLED, UNREADABLE, ImageList, Sample
from training.progress import Progress, quiet
from training.source import Parts, discover, named

NO_DATA = "none"
_SEED_OFFSET = 20180202


@dataclass(frozen=True)
class DataSpec:
    """The user's choice of images: see ``load``. `input_size` is a square's side or (height, width)."""

    data: str = DEFAULT_DATA
    eval_data: str | None = None
    labels: str | None = None
    input_size: int | tuple[int, int] = 64
    seed: int = 0
    max_images: int = 20000
    channels: int = 3


def load(spec: DataSpec, progress: Progress = quiet) -> Data:
    """Load the images of a source, split with the seed.

    A source that says which images are for what (``train``, and ``val`` or ``test`` or both) is split as it
    says: ``val`` judges plans and ``test`` has the final word. Where there is only one of them it has the
    final word, and a tenth of ``train`` becomes the proxy split. Others are split by their source's habit,
    most of them 70 / 15 / 15. With ``eval_data``, all of ``data`` is learned on, which then needs no labels,
    and the evaluation images judge plans and give the final accuracy. Images without labels can be learned
    on, and judge a network by its answers.
    ``none`` has no images to learn on (nor any, without ``eval_data``).

    Evaluation images that are also among those to learn on are left out.

    Raises
    ------
    BadInputError
        The data cannot be read, does not fit the labels, or leaves nothing to evaluate on.
    """
    found = _load(spec, progress)
    return found.apart() if len(found.proxy) else found


def _load(spec: DataSpec, progress: Progress) -> Data:
    _check(spec)
    if spec.eval_data is not None:
        return _judged_by_others(spec, spec.eval_data, progress)
    if spec.data == NO_DATA:
        nothing = _no_images(spec)
        return Data(spec.data, nothing, nothing, nothing, (), test_is_proxy=True)
    source = named(spec.data)
    parts = source.parts(spec.data)
    if parts:
        return _split_already(spec, parts, progress)
    found = _read(source.open(spec.data), spec, progress)
    train, rest = _split(found.images, source.habits.held_out, spec.seed)
    proxy, test = _split(rest, 0.5, spec.seed)
    return Data(spec.data, train, proxy, test, found.classes, found.dropped, found.remarks)


def _check(spec: DataSpec) -> None:
    """Refuse images that do not fit the other settings, before any is read."""
    given = [data for data in (spec.data, spec.eval_data) if data not in (None, NO_DATA)]
    for option, value in (("`eval_data`", spec.eval_data), ("`labels`", spec.labels)):
        if value is not None and spec.data in given and named(spec.data).complete:
            raise BadInputError(
                f"{option} {value} goes with images of your own, not with {spec.data}; give `data`"
            )
    for data in given:
        channels = named(data).channels
        if channels and spec.channels not in channels:
            others = " or ".join(source.form for source in discover().values() if not source.channels)
            raise BadInputError(
                f"{data} gives images of {' or '.join(map(str, channels))} channels and the network takes "
                f"{spec.channels}; give {others}"
            )


def _judged_by_others(spec: DataSpec, eval_data: str, progress: Progress) -> Data:
    judged = _read(named(eval_data).open(eval_data), spec, progress)
    test, classes, train = judged.images, judged.classes, _no_images(spec)
    dropped, remarks = judged.dropped, judged.remarks
    if spec.data != NO_DATA:
        learned = _read(named(spec.data).open(spec.data), spec, progress)
        if learned.images.labelled:
            test = judged.known_as(learned.classes) if spec.labels is None else test
            classes = learned.classes
        # Layers are learned on the first so many; as they were read, those are of the first classes.
        order = np.random.default_rng(spec.seed).permutation(len(learned.images)).tolist()
        train = learned.images.take(order)
        dropped, remarks = learned.dropped + dropped, learned.remarks + remarks
    return Data(
        spec.data, train, test, test, classes, dropped, remarks, test_is_proxy=True, judge_spec=eval_data
    )


def _split_already(spec: DataSpec, parts: Parts, progress: Progress) -> Data:
    learned = _read(parts.train, spec, progress)
    dropped, remarks = learned.dropped, parts.remarks + learned.remarks
    judging: list[Images] = []
    for images in (parts.val, parts.test):
        if images:
            judged = _read(images, spec, progress)
            judging.append(judged.known_as(learned.classes))
            dropped, remarks = dropped + judged.dropped, remarks + judged.remarks
    train, proxy = learned.images, judging[0]
    if len(judging) == 1:
        train, proxy = _split(train, 0.1, spec.seed)
    return Data(spec.data, train, proxy, judging[-1], learned.classes, dropped, remarks)


def _no_images(spec: DataSpec) -> Images:
    pixels = torch.empty(0, spec.channels, *sides(spec.input_size), dtype=torch.uint8)
    return Images(pixels, torch.empty(0).long())


def _split(images: Images, share: float, seed: int) -> tuple[Images, Images]:
    """Split off a share, stratified by class if every class has two images or more."""
    counts = images.labels.unique(return_counts=True)[1]
    alike = not images.labelled or int(counts.min()) < 2
    enough = not alike and len(images) * min(share, 1 - share) >= len(counts)
    try:
        first, second = train_test_split(
            np.arange(len(images)),
            test_size=share,
            random_state=seed + _SEED_OFFSET,
            stratify=images.labels.numpy() if enough else None,
        )
    except ValueError as error:
        raise BadInputError(f"{len(images)} images are too few to split; expected at least 10") from error
    return images.take(first), images.take(second)


@dataclass(frozen=True)
class _Found:
    """The images of a list, the names of the outputs, and what was left out."""

    spec: str
    images: Images
    classes: tuple[str, ...]
    dropped: tuple[str, ...]
    remarks: tuple[str, ...]

    def known_as(self, classes: tuple[str, ...]) -> Images:
        """The images, with class numbers of another list's classes, if they have labels."""
        if not self.images.labelled:
            return self.images
        unknown = [name for name in self.classes if name not in classes]
        if unknown:
            raise BadInputError(
                f"{self.spec} has the class {unknown[0]!r}, none of the {len(classes)} to learn; give "
                "the same folders, or `labels` FILE with one class per line in the order of the outputs"
            )
        number = torch.tensor([classes.index(name) for name in self.classes])
        return Images(self.images.pixels, number[self.images.labels])


def _read(images: ImageList, spec: DataSpec, progress: Progress) -> _Found:
    """Read all images of a list that can be decoded, with the outputs of their classes."""
    chosen: Sequence[int] = range(len(images.samples))
    if len(chosen) > spec.max_images:
        chosen = sorted(np.random.default_rng(spec.seed).permutation(len(chosen))[: spec.max_images].tolist())
    pixels: list[Tensor] = []
    labels: list[int] = []
    bad: list[int] = []
    with ThreadPoolExecutor(images.threads) as pool:
        decoded = pool.map(
            lambda number: _decode(images.samples[number], spec.input_size, spec.channels), chosen
        )
        for done, (number, found) in enumerate(zip(chosen, decoded, strict=True)):
            if found is None:
                bad.append(number)
            else:
                pixels.append(found[0])
                labels.append(found[1])
            progress(done + 1, len(chosen))
    if not pixels:
        raise BadInputError(
            f"{images.spec} holds no readable image; expected one sub-folder of images per class"
        )
    classes = images.classes or tuple(str(number) for number in range(max(labels) + 1))
    if max(labels) >= len(classes):
        raise BadInputError(
            f"{images.spec} gives the class number {max(labels)} but names {len(classes)} classes; "
            "expected numbers from 0 on, in the order of its classes"
        )
    emptied = images.emptied(bad)
    kept = [number for number in range(len(classes)) if number not in emptied]
    names, outputs = outputs_of([classes[number] for number in kept], spec.labels)
    output = {UNLABELLED: UNLABELLED} | dict(zip(kept, outputs, strict=True))
    known = torch.tensor([output[label] for label in labels])
    remarks = [f"no class of {images.spec}: {classes[n]} holds no readable image" for n in sorted(emptied)]
    dropped = tuple(images.names[number] for number in bad)
    found_all = Images(torch.stack(pixels), known)
    return _Found(images.spec, found_all, names, dropped, (*images.remarks, *remarks))


def _decode(sample: Sample, size: int | tuple[int, int], channels: int) -> tuple[Tensor, int] | None:
    """Bytes (channels, height, width) and class number; None if the image cannot be decoded."""
    try:
        return sample(size, channels)
    except BadInputError:
        raise
    except UNREADABLE:
        return None
