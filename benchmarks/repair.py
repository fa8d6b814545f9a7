"""What giving back one block of a trained plan brings: does training tell where a plan lost accuracy?

python benchmarks/repair.py CASE SETTING IMAGENETTE SEED RATE [HOME]

The kept plan of `ours` of a case of ``rivals.py``, e.g. ``mobilenet_v2 3.4``, fully trained. One block at a
time is put back as the teacher has it, and the network is trained for half a pass at RATE (the whole
training has 0.012); so is the network with nothing put back. Expected top-1 on the test images: as it is put
together, after the half pass, and as a search's proxy judges the plan without the block's merges. Some 25
minutes of one core after the training.
"""

import copy
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.rival_cases import CASES, OURS, Bench  # noqa: E402
from benchmarks.rivals import RESULTS  # noqa: E402
from merges.plan import Plan  # noqa: E402
from search.commands import terminal  # noqa: E402
from search.deploy.train import Training, trained_network  # noqa: E402
from search.evaluation.fine_tuned import FineTuned  # noqa: E402
from search.proxy import Proxy  # noqa: E402
from search.results.planfile import PlanFile  # noqa: E402
from search.scoring.device import Device  # noqa: E402
from search.scoring.latency import Latencies  # noqa: E402
from training.finetune import norms  # noqa: E402
from training.finetune.fit import Fit, Inputs, Log, fit  # noqa: E402
from training.finetune.objectives import Distillation  # noqa: E402
from training.metrics import evaluate  # noqa: E402
from training.store import WeightStore  # noqa: E402
from training.workbench import Workbench  # noqa: E402

_RATE = 0.012
_PRICED = "arm-a57"


def main() -> None:
    case, setting, data, seed, rate, *rest = sys.argv[1:]
    home = Path(rest[0]) if rest else ROOT / "studies/rivals"
    table = Table(title=f"{case}, {setting}, seed {seed}: expected top-1 %")
    for name in ("given back", f"ms on {_PRICED}", "put together", "after half a pass", "before training"):
        table.add_column(name, justify="left" if name == "given back" else "right")
    with terminal.bars() as watch:
        made = Bench(CASES[case], data, home, RESULTS / case / "plans", watch)
        bench = replace(made.bench, setup=made.setup.model_copy(update={"seed": int(seed)}))
        network = bench.network
        plan = PlanFile.load(made.plans / f"{OURS}-{setting}.json").fitted(network)
        training = Training(CASES[case].passes, with_labels=True, rate=_RATE, augment=True)
        folder = home / case / f"{OURS}-{setting}-{seed}" / f"{_RATE:g}"  # as rivals.py has it
        folder.mkdir(parents=True, exist_ok=True)
        trained, _ = trained_network(bench, plan, training, folder, made.session)
        latencies = Latencies(network, Device.named(_PRICED, home))
        proxy = FineTuned(bench, Proxy(), WeightStore(home / "bank"))
        for block in (None, *(block for block in network.blocks if block.choices(plan))):
            merged, left = copy.deepcopy(trained), dict(plan)
            if block is not None:
                merged.set_submodule(block.name, network.original(block))
                left = {site: option for site, option in plan.items() if site not in block.choices(plan)}
            together = _expected(merged, bench)
            _half_a_pass(merged, bench, float(rate))
            values = (
                together,
                _expected(merged, bench),
                _expected(proxy.network_of(Plan.make(network, left)), bench),
            )
            priced = latencies.score(left).latency_ms
            table.add_row(block.name if block else "nothing", f"{priced:.2f}", *(f"{v:.2f}" for v in values))
    Console(width=120).print(table)


def _expected(network: nn.Module, bench: Workbench) -> float:
    test = bench.data.test
    return evaluate(network, bench.inputs(test), test.labels)[0].expected


def _half_a_pass(network: nn.Module, bench: Workbench, rate: float) -> None:
    data, seed = bench.data.train, bench.setup.seed
    some = torch.randperm(len(data), generator=torch.Generator().manual_seed(7))[: len(data) // 2]
    assert data.labels is not None
    labels = data.labels[some]

    def images(index: Tensor) -> Tensor:
        return bench.changed(some[index])

    norms.put(network, bench.inputs(data))
    objective = Distillation(bench.network.skeleton(), (), rate, labels=labels)
    with tempfile.TemporaryDirectory() as folder:
        fit(network, objective, Inputs(images, len(some), labels), Fit(1, seed=seed), Log(Path(folder)))
    norms.fold(network)


if __name__ == "__main__":
    main()
