"""Zero-shot fronts of networks with real weights: faster without data and training (about 7 minutes).

python benchmarks/zero_shot.py WEIGHTS_FOLDER SYNSETS EVAL_FOLDER [TARGET]

WEIGHTS_FOLDER holds squeezenet1_1.safetensors and bvlc_googlenet.safetensors; accuracy is top-5 on
EVAL_FOLDER, measured, no image having been learned on.
"""

import sys
import tempfile
from pathlib import Path

from rich.console import Console

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from search import run  # noqa: E402
from search.commands import terminal  # noqa: E402
from search.proxy import Proxy  # noqa: E402
from search.results import front, tables  # noqa: E402
from search.study import recorded  # noqa: E402
from training.config import ModelConfig  # noqa: E402
from training.progress import Session  # noqa: E402

_BUDGET = 16


def main() -> None:
    weights, synsets, folder, *rest = sys.argv[1:]
    for model in ("squeezenet1_1", "bvlc_googlenet"):
        setup = ModelConfig(
            model=model,
            weights=f"{weights}/{model}.safetensors",
            preprocess="caffe",
            data="none",
            eval_data=f"imagefolder:{folder}",
            labels=synsets,
            zero_shot=True,
            metric="top5",
        )
        target = rest[0] if rest else "arm-a57"
        wanted = run.SearchConfig(setup, Proxy(), target, _BUDGET, "auto")
        with tempfile.TemporaryDirectory() as home, terminal.bars() as watch:
            storage = f"sqlite:///{home}/studies.db"
            study = run.search(wanted, storage, Session(Path(home), watch, terminal.note))
            found = front.front_of(recorded.read(study.study_name, storage))
            Console(width=160).print(tables.front_table(found))


if __name__ == "__main__":
    main()
