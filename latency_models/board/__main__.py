"""``python3 board.pyz FOLDER``: what is done goes to standard output, line by line."""

from __future__ import annotations

import sys

from board import run
from board.runtime import KIND  # written into the kit for its runtime


def main() -> int:
    if len(sys.argv) != 2:
        print("usage: python3 board.pyz FOLDER", file=sys.stderr)
        return 2
    try:
        run(sys.argv[1], KIND, lambda done, total: print("%d of %d" % (done, total), flush=True))
    except ImportError as error:
        print("this board lacks a package (%s); install it with pip" % error, file=sys.stderr)
        return 3
    except OSError as error:
        print(str(error), file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
