"""The cells of ``rivals.py``: made, judged, priced, and kept as JSON."""

import json
import sys
import time
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks import rival_files  # noqa: E402
from benchmarks.rival_cases import CASES, INT8, Bench, Cell, Made, processor, share  # noqa: E402
from benchmarks.rival_methods import METHODS  # noqa: E402
from latency_models.runtimes.onnxruntime import session_of  # noqa: E402
from merges.graph import TraceError  # noqa: E402
from search.scoring.device import Device  # noqa: E402
from search.scoring.latency import Latencies  # noqa: E402
from training.errors import BadInputError  # noqa: E402
from training.export import to_onnx  # noqa: E402
from training.files import replacing  # noqa: E402
from training.workbench import structure  # noqa: E402

_PACKAGES = ("torch", "onnxruntime", "torch-pruning", "optuna")
_PRICED = "arm-a57"
_CLASSES = 10  # of Imagenette, and of the digits


def work(cell: Cell, made: Bench, kept: Path, models: Path) -> dict[str, Any]:
    """Make, train and judge a cell's network; its JSON under `kept`, its ONNX file under `models`."""
    start = time.perf_counter()
    path = models / f"{cell.name}.onnx"
    models.mkdir(parents=True, exist_ok=True)
    about: dict[str, Any] = asdict(cell) | {"passes": made.case.passes, "trials": made.case.trials}
    try:
        rate, tried, done = _best(cell, made, kept, models / cell.name)
    except BadInputError as error:
        about["failed"] = str(error)
    else:
        right = _write(done, path, made)
        rival_files.strip(path, kept / f"{cell.name}{rival_files.SUFFIX}")
        about |= {
            "rate": rate,
            "tried": tried,
            "teacher_top1": made.teacher_top1,
            "top1": share(right),
            "images": len(right),
            "right": np.packbits(right.numpy()).tobytes().hex(),
            "file_bytes": path.stat().st_size,
            "plan": done.plan,
            "narrow": done.narrow,
            "priced": _priced(path, made) if done.network else {"failed": "int8 has no prices"},
        }
    about["seconds"] = round(time.perf_counter() - start)
    about["device"] = processor()
    about["versions"] = {name: version(name) for name in _PACKAGES}
    kept.mkdir(parents=True, exist_ok=True)
    with replacing(kept / f"{cell.name}.json") as temporary:
        temporary.write_text(json.dumps(about, indent=1) + "\n")
    return about


def known_rate(method: str, kept: Path) -> float | None:
    """The learning rate that a method's first cell found to be best."""
    found = (json.loads(path.read_text()) for path in kept.glob(f"{method}-*-*.json"))
    return next((cell["rate"] for cell in found if "rate" in cell), None)


def _best(cell: Cell, made: Bench, kept: Path, folder: Path) -> tuple[float, dict[str, float], Made]:
    """A cell's network at the rate that is best on the proxy split, which its method's first cell finds."""
    rates = (0.0,) if cell.method == INT8 else made.case.rates
    if (known := known_rate(cell.method, kept)) is not None:
        rates = (known,)
    tried: dict[str, float] = {}
    found: dict[float, Made] = {}
    for rate in rates:
        found[rate] = METHODS[cell.method](made, cell, folder / f"{rate:g}", rate)
        network = found[rate].network
        if network is not None and len(rates) > 1:
            tried[f"{rate:g}"] = share(made.right(network, made.bench.data.proxy))
    best = max(rates, key=lambda rate: tried.get(f"{rate:g}", 0.0))
    return best, tried, found[best]


def _write(done: Made, path: Path, made: Bench) -> Tensor:
    """Write a cell's ONNX file; for every test image, whether its best class is right."""
    if done.network is not None:
        with replacing(path) as temporary:
            to_onnx(done.network, made.bench.network.input_shape, temporary)
        return made.right(done.network, made.bench.data.test)
    assert done.file is not None
    with replacing(path) as temporary:
        temporary.write_bytes(done.file.read_bytes())
    test = made.bench.data.test
    images, session = made.bench.inputs(test), session_of(str(path), torch.get_num_threads())
    name = session.get_inputs()[0].name
    scores = [session.run(None, {name: images(torch.tensor([n])).numpy()})[0] for n in range(len(test))]
    return torch.from_numpy(np.concatenate(scores)).argmax(1) == test.labels


def _priced(path: Path, made: Bench) -> dict[str, float | str]:
    """Latency on an ARM core, predicted for the ONNX file as it is."""
    try:
        network = structure(str(path))
        return {_PRICED: Latencies(network, Device.named(_PRICED, made.home)).score({}).latency_ms}
    except (BadInputError, TraceError, LookupError) as error:
        return {"failed": str(error)}


def speedup_on(cell: dict[str, Any], target: str, home: Path) -> float:
    """A kept plan's speed-up on any target, from its network's structure alone."""
    case = CASES[cell["case"]]
    network = structure(case.model, case.input_size, _CLASSES, low_rank=True, narrow=cell.get("narrow"))
    return Latencies(network, Device.named(target, home)).score(cell["plan"]).speedup
