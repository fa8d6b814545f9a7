"""Images for learning, for judging plans (proxy) and for the final word (test).

Images are decoded once, resized and kept in memory as bytes; a file that cannot be decoded is left
out, named and counted.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import Tensor
from torchvision.transforms import functional as transforms

from training.errors import BadInputError
from training.images import UNLABELLED, Data, Images
from training.sources import Sample, Source, folder_of, read_folder, source

Progress = Callable[[int, int], None]
NO_DATA = "none"
_RESIZE = 256 / 224  # short side before the centre crop, as ImageNet networks are evaluated
_SEED_OFFSET = 20180202


@dataclass(frozen=True)
class DataSpec:
    """What the user asked for: see ``load``."""

    data: str = "digits"
    eval_data: str | None = None
    labels: str | None = None
    input_size: int = 64
    seed: int = 0
    max_images: int = 20000


def load(spec: DataSpec, progress: Progress = lambda _, __: None) -> Data:
    """Load ``digits`` (scikit-learn's scans) or what ``sources`` knows, split with the seed.

    A folder with ``train`` and ``val`` in it is split as it says: ``val`` is the test split, a tenth
    of ``train`` becomes the proxy split. Other folders are split 70 / 15 / 15. With ``eval_data``,
    all of ``data`` is learned on, which then needs no labels, and the evaluation images judge plans and give
    the final accuracy.
    ``none`` has no images to learn on (nor any, without ``eval_data``).

    Evaluation images that are also among those to learn on are left out.

    Raises
    ------
    BadInputError
        The data cannot be had, does not fit the labels, or leaves nothing to judge on.
    """
    found = _load(spec, progress)
    return found.apart() if len(found.proxy) else found


def _load(spec: DataSpec, progress: Progress) -> Data:
    if spec.data == "digits":
        return _digits(spec)
    nothing = Images(
        torch.empty(0, 3, spec.input_size, spec.input_size, dtype=torch.uint8), torch.empty(0).long()
    )
    if spec.data == NO_DATA and spec.eval_data is None:
        return Data(spec.data, nothing, nothing, nothing, (), test_is_proxy=True)
    if spec.eval_data is not None:
        judged, judged_names, also_bad = _labelled(source(spec.eval_data), spec, progress)
        if spec.data == NO_DATA:
            return Data(spec.data, nothing, judged, judged, judged_names, also_bad, test_is_proxy=True)
        train, names, bad = _read(source(spec.data), spec, progress)
        if train.labelled and judged_names != names:
            raise BadInputError(
                f"the classes of {spec.eval_data} are not those of {spec.data}; give --labels FILE, "
                "a line a class in the order of the network's outputs"
            )
        # Layers are learned on the first so many; as they were read, those are of the first classes.
        train = train.take(np.random.default_rng(spec.seed).permutation(len(train)).tolist())
        return Data(spec.data, train, judged, judged, judged_names, bad + also_bad, test_is_proxy=True)
    folder = folder_of(spec.data)
    if folder and (folder / "train").is_dir() and (folder / "val").is_dir():
        images, names, bad = _labelled(read_folder(folder / "train"), spec, progress)
        test, test_names, also_bad = _labelled(read_folder(folder / "val"), spec, progress)
        if test_names != names:
            raise BadInputError(
                f"{folder / 'val'} has other classes than {folder / 'train'}; expected the same folders"
            )
        train, proxy = _split(images, 0.1, spec.seed)
        return Data(spec.data, train, proxy, test, names, bad + also_bad)
    images, names, bad = _labelled(source(spec.data), spec, progress)
    train, rest = _split(images, 0.3, spec.seed)
    proxy, test = _split(rest, 0.5, spec.seed)
    return Data(spec.data, train, proxy, test, names, bad)


def _digits(spec: DataSpec) -> Data:
    scans = load_digits()
    grey = torch.from_numpy(scans.images.astype(np.float32)) * (255 / 16)
    size = [spec.input_size, spec.input_size]
    pixels = torch.nn.functional.interpolate(grey[:, None], size=size, mode="bilinear")
    images = Images(
        pixels.round().clamp(0, 255).to(torch.uint8).repeat(1, 3, 1, 1),
        torch.from_numpy(scans.target).long(),
    )
    train, rest = _split(images, 0.5, spec.seed)
    proxy, test = _split(rest, 0.5, spec.seed)
    return Data("digits", train, proxy, test, tuple(str(n) for n in range(10)))


def _split(images: Images, share: float, seed: int) -> tuple[Images, Images]:
    """Split off a share, by class where every class has two images or more."""
    counts = torch.bincount(images.labels)
    enough = int(counts[counts > 0].min()) >= 2 and len(images) * min(share, 1 - share) >= int(
        (counts > 0).sum()
    )
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


_Read = tuple[Images, tuple[str, ...], tuple[str, ...]]


def _labelled(images: Source, spec: DataSpec, progress: Progress) -> _Read:
    """As `_read`; refuses images without labels, which cannot judge."""
    found = _read(images, spec, progress)
    if not found[0].labelled:
        raise BadInputError(
            f"{images.names[0]} has no label; expected one sub-folder of images a class "
            "(images without labels can be learned on, as --data, where others judge, as --eval-data)"
        )
    return found


def _read(images: Source, spec: DataSpec, progress: Progress) -> _Read:
    """All images of a source, its class names and the images that could not be decoded."""
    chosen: Sequence[int] = range(len(images.samples))
    if len(chosen) > spec.max_images:
        chosen = sorted(np.random.default_rng(spec.seed).permutation(len(chosen))[: spec.max_images].tolist())
    pixels: list[Tensor] = []
    labels: list[int] = []
    bad: list[str] = []
    with ThreadPoolExecutor(images.threads) as pool:
        decoded = pool.map(lambda number: _decode(images.samples[number], spec.input_size), chosen)
        for done, (number, found) in enumerate(zip(chosen, decoded, strict=True)):
            if found is None:
                bad.append(images.names[number])
            else:
                pixels.append(found[0])
                labels.append(found[1])
            progress(done + 1, len(chosen))
    if not pixels:
        raise BadInputError(f"{spec.data} holds no readable image; expected one sub-folder of images a class")
    classes = images.classes or tuple(str(number) for number in range(max(labels) + 1))
    names, numbers = _classes(classes, spec.labels)
    known = [label if label == UNLABELLED else numbers[label] for label in labels]
    return Images(torch.stack(pixels), torch.tensor(known)), names, tuple(bad)


def _classes(folders: Sequence[str], labels: str | None) -> tuple[tuple[str, ...], list[int]]:
    """Names of all outputs, and the output of every folder."""
    if labels is None:
        return tuple(folders), list(range(len(folders)))
    try:
        lines = Path(labels).expanduser().read_text().split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInputError(
            f"{labels} cannot be read ({error}); expected a text file, a line a class"
        ) from error
    names = tuple(line.split()[0] for line in lines if line.strip())
    number = {name: i for i, name in enumerate(names)}
    unknown = [name for name in folders if name not in number]
    if unknown:
        raise BadInputError(
            f"folder {unknown[0]!r} is no class of {labels}; expected names such as {names[0]!r}"
        )
    return names, [number[name] for name in folders]


def _decode(sample: Sample, size: int) -> tuple[Tensor, int] | None:
    try:
        image, label = sample(round(size * _RESIZE))
        resized = transforms.resize(image, [round(size * _RESIZE)], antialias=True)
        return transforms.pil_to_tensor(transforms.center_crop(resized, [size, size])), label
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return None
