"""An installed copy holds everything under one name, ``rebirth``, and meets no ``training`` of the user's.

In the checkout the packages are ``merges``, ``search`` ...; a wheel has them as ``rebirth.parts.merges`` ...,
and their imports of each other are rewritten when it is built. An editable install is the checkout as it is.
"""

import re
import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

PARTS = ("latency_models", "merges", "search", "training")
HOME = "rebirth.parts"
IMPORT = re.compile(rf"^(\s*(?:from|import) )({'|'.join(PARTS)})\b(?=[. ])", re.MULTILINE)


def moved(source: str) -> str:
    """A module with its imports of the parts written as they are installed."""
    return IMPORT.sub(rf"\1{HOME}.\2", source)


class BuildUnderOneName(build_py):
    """Builds the parts as packages of ``rebirth.parts``."""

    def run(self) -> None:
        super().run()
        if self.editable_mode:
            return
        top = Path(self.build_lib)
        home = top.joinpath(*HOME.split("."))
        shutil.rmtree(home, ignore_errors=True)  # of an earlier build
        home.mkdir(parents=True)
        (home / "__init__.py").write_text('"""The packages of the program."""\n')
        for part in PARTS:
            (top / part).rename(home / part)
        for path in (top / "rebirth").rglob("*.py"):
            path.write_text(moved(path.read_text()))


setup(cmdclass={"build_py": BuildUnderOneName})
