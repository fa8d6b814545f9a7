"""Images in memory, in splits for training and for evaluation."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from training.errors import BadInputError
from training.images.image_list import UNLABELLED


@dataclass(frozen=True)
class Images:
    """Bytes (n, channels, height, width) and class numbers (n,), ``UNLABELLED`` if unknown."""

    pixels: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.pixels)

    @property
    def labelled(self) -> bool:
        """Whether the class of every image is known."""
        return bool((self.labels != UNLABELLED).all())

    def take(self, indices: Sequence[int] | Tensor) -> "Images":
        index = torch.as_tensor(indices)
        return Images(self.pixels[index], self.labels[index])


@dataclass(frozen=True)
class Data:
    """Three splits of a data set.

    Attributes
    ----------
    train : for learning
    proxy : for judging plans during a search
    test : for the final accuracy; the same images as `proxy` if `test_is_proxy`
    classes : names in the order of the outputs
    dropped : files that could not be decoded
    left_out : what else was not used, as sentences
    judge_spec : the source of the evaluation images, if not part of `spec`
    repeated : evaluation images left out because they are also training images
    """

    spec: str
    train: Images
    proxy: Images
    test: Images
    classes: tuple[str, ...]
    dropped: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    test_is_proxy: bool = False
    judge_spec: str | None = None
    repeated: int = 0

    @property
    def fingerprint(self) -> str:
        """Identifies the training images."""
        digest = hashlib.sha256(str(tuple(self.train.pixels.shape)).encode())
        digest.update(self.train.pixels.numpy().tobytes())
        return digest.hexdigest()[:16]

    def summary(self) -> str:
        """The numbers of classes and images, in one line."""
        classes = _count(len(self.classes), "class", "classes") if self.classes else "no labels"
        learned = _count(len(self.train), "image") if len(self.train) else "no image"
        unlabelled = ""
        if self.classes and len(self.train) and not self.train.labelled:
            unlabelled = " without labels"
        judging = f"{len(self.proxy):,} to judge plans"
        last = " and" if self.test_is_proxy else f", {len(self.test):,}"
        where = f"{self.spec}, judged by {self.judge_spec}" if self.judge_spec else self.spec
        return f"{where}: {classes}; {learned}{unlabelled} to learn on, {judging}{last} for the final word"

    def remarks(self) -> list[str]:
        """Remarks on the images for the user, as sentences."""
        said = [*self.left_out]
        if self.dropped:
            names = ", ".join(self.dropped[:3]) + (" ..." if len(self.dropped) > 3 else "")
            said.append(f"{len(self.dropped)} unreadable image(s) left out: {names}")
        if self.repeated:
            said.append(
                f"{self.repeated} evaluation image(s) left out: they are among those that are learned on"
            )
        return said

    def apart(self) -> "Data":
        """The data without evaluation images that are also training images.

        Raises
        ------
        BadInputError
            No evaluation image is left.
        """
        known = {_digest(image) for image in self.train.pixels}
        kept: list[Images] = []
        for images in (self.proxy, self.test):
            fresh = [i for i, image in enumerate(images.pixels) if _digest(image) not in known]
            if not fresh:
                raise BadInputError(
                    f"all {len(images)} evaluation images are among those that are learned on ({self.spec}); "
                    "an accuracy on them would mean nothing: give other images"
                )
            kept.append(images if len(fresh) == len(images) else images.take(fresh))
        repeated = len(self.proxy) - len(kept[0])
        if not self.test_is_proxy:
            repeated += len(self.test) - len(kept[1])
        return replace(self, proxy=kept[0], test=kept[1], repeated=repeated)


def _count(number: int, one: str, more: str | None = None) -> str:
    return f"{number:,} {one if number == 1 else more or one + 's'}"


def _digest(image: Tensor) -> bytes:
    return hashlib.sha256(image.numpy().tobytes()).digest()
