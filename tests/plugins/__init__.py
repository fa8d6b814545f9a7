"""One more of each kind, in folders of their own; ``python -m tests.plugins`` is the program with them."""

from pathlib import Path

import latency_models.runtimes
import merges.rules
import search.samplers
import training.sources

HERE = Path(__file__).parent
PACKAGES = {
    "rules": merges.rules,
    "runtimes": latency_models.runtimes,
    "samplers": search.samplers,
    "sources": training.sources,
}
