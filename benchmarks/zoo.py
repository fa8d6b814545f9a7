"""Every network of a collection: read or refused, what can be merged, and whether merges keep its answers.

python benchmarks/zoo.py --set SET --out FILE.csv [--list FILE] [--sample N] [NAME ...]

SET is torchvision, timm (by default the 57 names of zoo_timm.txt), pytorchcv or smp (encoders of
segmentation-models-pytorch); the last three are to be installed by pip. The networks have random weights and
norm statistics. ``graph`` and ``exact`` are the errors of the graph that was read and of the plan with all
exact options, as a share of the answers' scale (in double where single cannot tell). ``rounding`` is how far
the network's own answers in single precision are from those in double: merges are made in single precision,
and a network that magnifies rounding magnifies theirs as well. ``plans`` counts random
plans that build, run and give the right shape. The file holds a row for each network; run again, those that
it has are left out. timm's 57 take half an hour, torchvision's 80 an hour on one core.
"""

import argparse
import csv
import gc
import random
import sys
import time
import warnings
import zlib
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import torch
import torchvision
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from merges.graph import TraceError  # noqa: E402
from merges.network import Network, analyse  # noqa: E402
from merges.reading.check import answers_of, in_double, worst  # noqa: E402
from merges.reading.read import Reading  # noqa: E402
from merges.rule import Site  # noqa: E402
from tests.merges.random_checks import TOLERANCE, error_of, images_for, place_of, shapes_of  # noqa: E402

SIZES = (96, 128, 224, 256, 299)
PLANS = 3
_FACTORS = 2  # low-rank sites in a random plan, each of at most so many weights: a decomposition takes long
_WEIGHTS = 2_000_000
_OTHERS = (
    "_voc", "_coco", "_cityscapes", "_ade20k", "_celebamaskhq", "_widerface", "jasper", "quartznet",
    "raft", "voca", "propainter", "visemenet", "superpoint", "pfpcnet", "prnet", "nvpatt", "ntsnet",
)  # fmt: skip


@dataclass
class Row:
    """What became of one network."""

    name: str
    size: int = 0
    read: str = ""  # yes, refused or TRACEBACK
    sites: str = ""
    refusals: int = 0
    graph: float = float("nan")
    exact: float = float("nan")
    rounding: float = 0.0
    plans: str = ""
    seconds: float = 0.0
    reason: str = ""

    @property
    def wrong(self) -> bool:
        """Whether it was read, and the graph or a plan is not what it should be."""
        near = self.graph <= TOLERANCE and self.exact <= max(TOLERANCE, 2 * self.rounding)
        return self.read == "yes" and not (near and self.plans == f"{PLANS} of {PLANS}")


class Features(nn.Module):
    """The last maps of an encoder, pooled."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, x: Tensor) -> Tensor:
        return self.encoder(x)[-1].mean((2, 3))


def collection(name: str) -> tuple[list[str], Callable[[str], nn.Module]]:
    """The networks of a collection by name, and what builds one."""
    if name == "torchvision":
        names = torchvision.models.list_models(module=torchvision.models)
        return names, lambda model: torchvision.models.get_model(model, weights=None)
    if name == "timm":
        import timm

        return (ROOT / "benchmarks" / "zoo_timm.txt").read_text().split(), timm.create_model
    if name == "pytorchcv":
        from pytorchcv.model_provider import _models, get_model

        known = [model for model in _models if not any(word in model for word in _OTHERS)]
        return known, lambda model: get_model(model, pretrained=False)
    from segmentation_models_pytorch import encoders

    return list(encoders.encoders), lambda model: Features(encoders.get_encoder(model, weights=None))


def with_random_statistics(model: nn.Module) -> nn.Module:
    """Nothing stays as it is before training: constant weights would hide what is done to them."""
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._NormBase) and module.running_mean is not None:
            assert module.running_var is not None
            module.running_mean.normal_(0, 0.2)
            module.running_var.uniform_(0.5, 1.5)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.numel() and bool((weight == weight.flatten()[0]).all()):
                shift = weight.ndim > 0 and float(weight.flatten()[0]) == 0
                _ = weight.normal_(0, 0.1) if shift else weight.uniform_(0.5, 1.5)
    return model.eval()


@torch.no_grad()
def smallest_size(model: nn.Module) -> int:
    """The smallest of the sizes that the network itself accepts."""
    own = getattr(model, "in_size", None)
    for size in sorted({*SIZES, own[0]}) if own else SIZES:
        try:
            model(torch.zeros(2, 3, size, size))
        except Exception as error:
            reason = error
        else:
            return int(size)
    raise reason


def random_plan(network: Network, choose: random.Random) -> dict[str, str]:
    """An option at half of the sites."""
    named = {node.name: str(node.target) for node in network.teacher.graph.nodes if node.op == "call_module"}

    def weights(site: Site) -> int:
        layers = [network.teacher.get_submodule(named[node]) for node in site.nodes if node in named]
        return sum(weight.numel() for layer in layers for weight in layer.parameters())

    factored = [site for site in network.sites if site.on_request and weights(site) <= _WEIGHTS]
    sites = [site for site in network.sites if not site.on_request and choose.random() < 0.5]
    sites += choose.sample(factored, min(_FACTORS, len(factored)))
    return {site.id: choose.choice(site.names[1:]) for site in sites}


def looked_at(row: Row, build: Callable[[str], nn.Module]) -> None:
    """Fill the row of one network."""
    seed = zlib.crc32(row.name.encode())
    torch.manual_seed(seed)
    model = with_random_statistics(build(row.name))
    row.size = smallest_size(model)
    shape = (3, row.size, row.size)
    network = analyse(row.name, model, shape)
    row.read, row.sites, row.refusals = "yes", by_rule(network), len(network.refused)
    images = images_for(shape, 2)
    wanted = shapes_of(model, images)
    row.graph = error_of(network.teacher, model, images)
    exact = {site.id: site.names[-1] for site in network.sites if site.exact}
    row.exact = error_of(network.merged(exact), model, images)
    if max(row.graph, row.exact) > TOLERANCE:
        row.graph = Reading.of(row.name, model, shape).error_in_double()
        row.rounding = worst(answers_of(model, images), in_double(model, images) or [])
    choose, right, failures = random.Random(seed), 0, []
    for _ in range(PLANS):
        plan = random_plan(network, choose)
        try:
            right += shapes_of(network.merged(plan), images) == wanted
        except Exception as error:
            failures.append(f"{type(error).__name__}: {error} {place_of(error)} with {plan}"[:1000])
    row.plans, row.reason = f"{right} of {PLANS}", " | ".join(failures)


def by_rule(network: Network) -> str:
    """How many sites each rule has."""
    return " ".join(f"{rule}:{n}" for rule, n in sorted(Counter(site.rule for site in network.sites).items()))


def row_of(row: Row, build: Callable[[str], nn.Module]) -> Row:
    start = time.perf_counter()
    try:
        looked_at(row, build)
    except TraceError as error:
        row.read, row.reason = "refused", str(error)
    except Exception as error:
        row.read, row.reason = "TRACEBACK", f"{type(error).__name__}: {error} {place_of(error)}"[:600]
    row.reason, row.seconds = " ".join(row.reason.split()), round(time.perf_counter() - start, 1)
    return row


def finished(path: Path) -> list[Row]:
    """The rows that a file has."""
    if not path.exists():
        return []
    kinds = {field.name: field.type for field in fields(Row)}
    with path.open(newline="") as file:
        return [Row(**{k: kinds[k](v) for k, v in line.items()}) for line in csv.DictReader(file)]  # type: ignore[operator]


def write(path: Path, row: Row) -> None:
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Row)])
        if file.tell() == 0:
            writer.writeheader()
        writer.writerow(asdict(row))


def twins() -> str:
    """The same network by two hands: as many sites of each rule."""
    import timm

    pair = (timm.create_model("resnet18"), torchvision.models.resnet18())
    one, other = (by_rule(analyse("resnet18", with_random_statistics(model), (3, 96, 96))) for model in pair)
    return f"resnet18 of timm and torchvision: {'same' if one == other else 'OTHER'} sites: {one}; {other}"


def show(rows: list[Row]) -> None:
    table = Table()
    for field in fields(Row):
        table.add_column(field.name, justify="right" if field.type in (int, float) else "left")
    for row in rows:
        table.add_row(*(f"{v:.2g}" if isinstance(v, float) else str(v)[:150] for v in asdict(row).values()))
    Console(width=250).print(table)
    read, tracebacks = (sum(row.read == what for row in rows) for what in ("yes", "TRACEBACK"))
    wrong = [row.name for row in rows if row.wrong]
    print(f"{read} of {len(rows)} read, {len(wrong)} wrong {' '.join(wrong)}, {tracebacks} tracebacks")


def main() -> None:
    warnings.simplefilter("ignore")
    parser = argparse.ArgumentParser()
    parser.add_argument("--set", choices=("torchvision", "timm", "pytorchcv", "smp"), required=True)
    parser.add_argument("--list", type=Path, help="file with the names to look at")
    parser.add_argument("--sample", type=int, help="look at so many of the names, drawn by chance")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("names", nargs="*")
    given = parser.parse_args()
    torch.set_num_threads(1)
    known, build = collection(given.set)
    names = given.names or (given.list.read_text().split() if given.list else known)
    if given.sample:
        names = random.Random(0).sample(names, min(given.sample, len(names)))
    done = {row.name for row in finished(given.out)}
    for row in (row_of(Row(name), build) for name in names if name not in done):
        write(given.out, row)
        print(*(str(value)[:300] for value in asdict(row).values()), sep=" | ", file=sys.stderr, flush=True)
        gc.collect()
    show([row for row in finished(given.out) if row.name in names])
    if given.set == "timm":
        print(twins())


if __name__ == "__main__":
    main()
