"""Accuracy of BVLC GoogLeNet with its weights on folders of photos (about a minute for 1000 images).

python benchmarks/bvlc_accuracy.py WEIGHTS SYNSETS FOLDER [FOLDER ...]
"""

import sys
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parents[1]))

from training import models
from training.data.loading import NO_DATA, DataSpec, load
from training.metrics import evaluate


def main() -> None:
    weights, synsets, *folders = sys.argv[1:]
    loaded = models.load("bvlc_googlenet", weights)
    table = Table(title="BVLC GoogLeNet")
    for heading in ("folder", "images", "top-1 %", "top-5 %", "seconds"):
        table.add_column(heading)
    for folder in folders:
        start = time.perf_counter()
        spec = f"imagefolder:{folder}"
        images = load(DataSpec(NO_DATA, spec, synsets, loaded.input_size)).test
        found, _ = evaluate(loaded.model, lambda i, p=images.pixels: loaded.preprocess(p[i]), images.labels)  # type: ignore[misc]
        seconds = f"{time.perf_counter() - start:.0f}"
        table.add_row(Path(folder).name, str(len(images)), f"{found.top1:.1f}", f"{found.top5:.1f}", seconds)
    Console().print(table)


if __name__ == "__main__":
    main()
