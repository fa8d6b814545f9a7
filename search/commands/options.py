"""Options that several commands share."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click

from search.commands import kinds
from training.config import DEFAULT_DATA

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


def combine(*decorators: Decorator) -> Decorator:
    """Several options as one decorator, in reading order."""

    def apply(function: Callable[..., Any]) -> Callable[..., Any]:
        for decorator in reversed(decorators):
            function = decorator(function)
        return function

    return apply


def file(*names: str, text: str, **more: Any) -> Decorator:
    """An option that names a file."""
    return click.option(*names, type=kinds.FilePath(), help=text, **more)


def folder(*names: str, text: str, **more: Any) -> Decorator:
    """An option that names a folder."""
    return click.option(*names, type=click.Path(file_okay=False, path_type=Path), help=text, **more)


def number(name: str, least: int, text: str, **more: Any) -> Decorator:
    """An option that takes a whole number of at least `least`."""
    more.setdefault("show_default", "default" in more)
    return click.option(name, type=click.IntRange(least), help=text, **more)


def late(*names: str, text: Callable[[], str], **more: Any) -> Decorator:
    """An option whose help text is slow to make."""
    return click.option(*names, cls=kinds.Late, text=text, **more)


def by_source(usual: object, others: Mapping[str, object], how: str) -> str:
    """The default for most sources of images, and for those that differ."""
    return "; ".join([str(usual), *(f"{value} {how} {name}" for name, value in others.items())])


def _input_size() -> str:
    from training.source import unusual

    usual = by_source("the model's own", unusual("input_size"), "for")
    return f"Size of the images: 64, 48x192 (height x width) or 1x28x28 (channels first).  [default: {usual}]"


def _model() -> str:
    from training.builtins import builtins

    return (
        f"Network to make fast: {', '.join(builtins())}, a torchvision.models name, a .onnx file, or "
        "package.module:factory."
    )


def _data() -> str:
    from training.source import forms

    return f"Images to learn and judge on: {forms()}.  [default: {DEFAULT_DATA}]"


model = late("--model", default="googlenet", show_default=True, text=_model)
target = click.option(
    "--target",
    default="arm-a57",
    show_default=True,
    help="CPU to be fast on, e.g. raspberry-pi-4; 'targets' lists them.",
)
targets = click.option(
    "--target",
    "targets",
    multiple=True,
    default=("arm-a57",),
    show_default=True,
    help="CPU to be fast on, e.g. raspberry-pi-4 ('targets' lists them); repeat it to add the latencies on "
    "other CPUs as objectives.",
)
as_json = click.option(
    "--json", "as_json", is_flag=True, help="Print JSON, and nothing else, to standard output."
)
home = folder(
    "--home",
    default=Path("studies"),
    envvar="REBIRTH_HOME",
    show_envvar=True,
    show_default=True,
    text="Folder that studies, teachers, learned layers and measured tables are kept in.",
)
input_size = late("--input-size", type=kinds.ImageSize(), text=_input_size)
within = click.option(
    "--within",
    metavar="NAME",
    help="Part of the model that is the network, e.g. backbone.body: it takes the images itself, and is "
    "judged by its own outputs.",
)
metric = click.option(
    "--metric",
    help="What networks are judged by: expected (mean probability of the correct class, finer than top-1), "
    "top1, top5, answers (how much of the untouched network's outputs is kept, in percent, without labels), "
    "or a function of yours, package.module:function, of a network and preprocessed images: the larger the "
    "better.  [default: expected where the network classifies labelled images, else answers]",
)
structure = combine(
    model,
    within,
    input_size,
    number(
        "--classes",
        1,
        "Number of outputs to build a torchvision or built-in network with.  [default: the model's own]",
    ),
    target,
    home,
    as_json,
)
learning = combine(
    click.option(
        "--weights",
        help="Trained weights: .safetensors or a state dict, e.g. resnet18.pth.  [default: train a teacher]",
    ),
    click.option(
        "--preprocess",
        type=kinds.Feeding(),
        help="How images are given to the network. imagenet: RGB, 0-1, standardised; caffe: BGR, 0-255, "
        "minus the mean; symmetric, symmetric-bgr: -1 to 1; or mean and deviation of RGB of 0-1, e.g. "
        "0.5/0.5 or 0.485,0.456,0.406/0.229,0.224,0.225 (BGR with /bgr behind).  [default: the model's, for "
        "timm's that of their pretrained_cfg; else imagenet]",
    ),
    late("--data", text=_data),
    click.option(
        "--eval-data",
        help="Images to judge plans on, e.g. imagefolder:val; all of --data, labelled or not, is then "
        "learned on.",
    ),
    click.option(
        "--labels",
        help="Text file with one class per line, in the order of the outputs: says which folder is which "
        "output.",
    ),
    click.option(
        "--classes",
        help="Text file with the classes that are needed, one per line: the network's head is cut to them, "
        "and it learns and is judged on their images alone.  [default: all]",
    ),
)


def narrow(text: str) -> Decorator:
    """The share of channels that a network is narrowed to."""
    share = kinds.Between(0, 1, min_open=True, max_open=True)
    return click.option("--narrow", type=share, metavar="SHARE", help=text)


shares = click.option(
    "--narrow",
    "shares",
    type=kinds.Between(0, 1, min_open=True),
    metavar="SHARE",
    multiple=True,
    help="First leave every layer about this share of its channels, e.g. 0.75, and train the narrowed "
    "network for some minutes; then merge that. Speed-ups and losses count from the untouched network. "
    "Repeat it, with 1 for all channels, for a study of each and one front of all.",
)
sites = combine(
    click.option(
        "--only",
        multiple=True,
        metavar="PATTERN",
        help="Merge only at these sites, e.g. 'streamline:conv1*' ('sites' lists them); repeatable.",
    ),
    click.option(
        "--skip",
        multiple=True,
        metavar="PATTERN",
        help="Never merge at these sites, e.g. 'branch:*5b'; repeatable.",
    ),
    click.option("--low-rank", is_flag=True, help="Also factorise layers (Tucker-2, SVD): many more sites."),
)


def board(what: str) -> Decorator:
    """The ways to a board at once; `what` is done there."""
    return combine(
        click.option(
            "--ssh",
            metavar="USER@HOST",
            help=f"{what} on a board behind SSH, e.g. pi@raspberrypi (its host key must be known).",
        ),
        click.option(
            "--adb",
            metavar="SERIAL",
            help=f"{what} on an Android device with python3, named as by 'adb devices', e.g. emulator-5554.",
        ),
    )


def studies(**more: Any) -> Decorator:
    """The studies whose plans are shown or chosen from."""
    return click.option(
        "--study",
        "names",
        multiple=True,
        metavar="NAME",
        help="Study, as named by 'search'; repeat it for the plans of several together, such as with and "
        "without --narrow.",
        **more,
    )


trust = click.option(
    "--trust", is_flag=True, help="Run code that the plan names: its own model or dataset factory."
)
own_model = click.option("--model", help="The plan's own factory: to name it is to trust it.")
threads = number(
    "--threads",
    1,
    "Threads to compute with; results may differ in the last digits.  [default: as many as there are "
    "unused cores]",
    envvar=["REBIRTH_THREADS", "OMP_NUM_THREADS"],
    show_envvar=True,
)
storage = combine(
    click.option(
        "--storage",
        envvar="OPTUNA_STORAGE",
        show_envvar=True,
        help="Database to keep the study in, such as postgresql+psycopg://user@host/db.  "
        "[default: SQLite under --home]",
    ),
    home,
)
