#!/usr/bin/env bash
# Everything the tests need and all checks: a virtual environment, lint, format, types, tests.
set -euo pipefail
cd "$(dirname "$0")/.."
[ -x .venv/bin/python ] || python3 -m venv .venv
.venv/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
.venv/bin/ruff check .
.venv/bin/ruff format --check .
.venv/bin/mypy
NO_MKDOCS_2_WARNING=1 .venv/bin/mkdocs build --quiet --strict --site-dir "$(mktemp -d)"
.venv/bin/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder --durations 12 "$@"
