"""The program with one more of each kind."""

import cli
from tests.plugins import HERE, PACKAGES

for kind, package in PACKAGES.items():
    package.__path__.append(str(HERE / kind))
cli.main()
