"""``python3 board.pyz FOLDER``: what is done goes to standard output, line by line."""

from __future__ import annotations

import json
import os
import sys

from board import MANIFEST, RESULTS, run
from board.counted import COUNT, count
from board.runtime import KIND, WHOLE  # written into the kit for its runtime
from board.whole import PEAK, bench, peak_bytes


def _told(done: int, total: int) -> None:
    print("%d of %d" % (done, total), flush=True)


def _work(folder: str, peak_of: str, counts: bool) -> None:
    with open(os.path.join(folder, MANIFEST)) as file:
        manifest = json.load(file)
    if counts:
        count(folder, KIND, manifest, _told)
    elif peak_of:
        model = next(model for model in manifest["models"] if model["id"] == peak_of)
        print(peak_bytes(folder, WHOLE, model))
    elif "models" in manifest:
        bench(folder, WHOLE, manifest, os.path.join(folder, RESULTS), _told)
    else:
        run(folder, KIND, WHOLE, _told)


def main() -> int:
    asks_peak = len(sys.argv) == 4 and sys.argv[2] == PEAK
    counts = len(sys.argv) == 3 and sys.argv[2] == COUNT
    if len(sys.argv) != 2 and not asks_peak and not counts:
        print("usage: python3 board.pyz FOLDER", file=sys.stderr)
        return 2
    try:
        _work(sys.argv[1], sys.argv[3] if asks_peak else "", counts)
    except ImportError as error:
        print("this board lacks a package (%s); install it with pip" % error, file=sys.stderr)
        return 3
    except OSError as error:
        print(str(error), file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
