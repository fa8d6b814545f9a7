"""What each part of full training brings: the same plan from the same start, with and without it.

python benchmarks/recipe_trials.py BVLC_WEIGHTS LABELS IMAGENETTE HOME PLAN SEEDS VARIANT...

PLAN is a preset or a plan file of bvlc_googlenet. Top-1 on the test images of Imagenette at 128 pixels (its
teacher has two epochs from the given weights). Results are kept as JSON in benchmarks/results/recipe_trials
and not made again; processes that are started alike share the work. On one core the start takes a quarter of
an hour and a training of 9 passes some 25 minutes; on a GPU a minute.
"""

import json
import sys
import time
from dataclasses import asdict
from pathlib import Path

import torch

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.recipe_variants import VARIANTS, MuonDistillation, Variant, mixed  # noqa: E402
from benchmarks.rival_cases import bvlc, processor, right, share, with_teacher  # noqa: E402
from benchmarks.rivals import alone  # noqa: E402
from search.commands import terminal  # noqa: E402
from search.deploy.train import Training, bottom_up  # noqa: E402
from search.results.planfile import PlanFile  # noqa: E402
from search.space.presets import preset  # noqa: E402
from training.config import ModelConfig  # noqa: E402
from training.files import replacing  # noqa: E402
from training.finetune import norms  # noqa: E402
from training.finetune.fit import Fit, Inputs, Log, fit  # noqa: E402
from training.finetune.objectives import Distillation  # noqa: E402
from training.optim import half_pays  # noqa: E402
from training.progress import Session  # noqa: E402
from training.store import WeightStore, weights_of  # noqa: E402
from training.workbench import Workbench  # noqa: E402

RESULTS = ROOT / "benchmarks/results/recipe_trials"


def main() -> None:
    weights, labels, data, folder, plan, seeds, *names = sys.argv[1:]
    home = Path(folder)
    with terminal.bars() as watch:
        session = Session(home, watch, terminal.note)
        setup = ModelConfig(**bvlc(weights, labels, data))
        bench = with_teacher(setup, "bvlc", session)
        name = Path(plan).stem
        for seed in map(int, seeds.split(",")):
            for variant in names:
                kept = RESULTS / f"{name}-{variant}-{seed}.json"
                with alone(home / f"{kept.stem}.lock") as free:
                    if free and not kept.exists():
                        made = trained(bench, plan, VARIANTS[variant], seed, home / kept.stem, session)
                        with replacing(kept) as temporary:
                            temporary.write_text(json.dumps(made, indent=1) + "\n")
    for path in sorted(RESULTS.glob("*.json")):
        made = json.loads(path.read_text())
        print(f"{path.stem}: {made['top1']:.2f} % top-1, {made['seconds']} s on {made['device']}")


def _choices(bench: Workbench, plan: str) -> dict[str, str]:
    if plan.endswith(".json"):
        return dict(PlanFile.load(Path(plan)).fitted(bench.network))
    return dict(preset(plan, bench.network))


def trained(
    bench: Workbench, plan: str, how: Variant, seed: int, folder: Path, session: Session
) -> dict[str, float | int | str | dict[str, object]]:
    """A plan's network after one training, judged on the test images."""
    network, data = bench.network, bench.data.train
    choices = _choices(bench, plan)
    start = network.merged(choices)
    few, steps = how.relearned
    store, name = WeightStore(session.home), f"start-{Path(plan).stem}-{few}-{steps}"
    known = store.read(name, start.state_dict())
    if known:
        start.load_state_dict(known[0])
    else:
        learning = Training(0, augment=True, relearn_images=few, relearn_steps=steps)
        start = bottom_up(bench, choices, learning, folder, session)
        store.write(name, weights_of(start))
    since = time.perf_counter()
    images = mixed(bench.changed) if how.mix else bench.changed
    if how.norms:
        norms.put(start, bench.inputs(data))
    kind = MuonDistillation if how.muon else Distillation
    blocks = [block.name for block in network.blocks if block.choices(choices)] if how.features else []
    objective = kind(
        network.skeleton(),
        blocks,
        how.rate,
        features=how.features,
        labels=data.labels if how.labels else None,
    )
    half = half_pays(gpu=torch.cuda.is_available())
    fitting = Fit(how.passes, batch=how.batch, average=how.average, half=half, seed=seed)
    losses = fit(
        start,
        objective,
        Inputs(images, how.images or len(data), data.labels),
        fitting,
        Log(folder, session.watch),
    )
    norms.fold(start)
    test = bench.data.test
    return {
        "variant": asdict(how),
        "teacher_top1": share(right(network.teacher, bench, test)),
        "top1": share(right(start, bench, test)),
        "losses": losses,  # type: ignore[dict-item]
        "seconds": round(time.perf_counter() - since),
        "device": processor(),
    }


if __name__ == "__main__":
    main()
