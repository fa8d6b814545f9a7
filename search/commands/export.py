"""The ``export`` command."""

from pathlib import Path
from typing import Any

import click

from search.called import example
from search.commands import options, terminal
from search.deploy import export
from search.deploy.tables import exported_table
from search.results.planfile import PlanFile
from training.data.loading import NO_DATA
from training.errors import BadInputError
from training.progress import Session


@click.command("export", epilog=example("export --run runs/merged --out model.onnx"))
@options.folder("--run", text="Folder of a finished run, made by 'train --out'.")
@options.file("--plan", text="Instead of a run, a plan that needs no training (exact, or of --zero-shot).")
@options.file("--out", required=True, text="ONNX file to write.")
@options.number("--threads", 1, "Threads to time with.", default=1)
@options.own_model
@options.trust
@options.learning
@options.home
@options.as_json
def command(
    run: Path | None, plan: Path | None, out: Path, threads: int, home: Path, as_json: bool, **given: Any
) -> None:
    """Write a network as ONNX, check its answers, and time it beside the original on this machine.

    Answers are checked on the run's test images, or on noise if the plan names no images. A preset's plan
    needs --weights.
    """
    if (run is None) == (plan is None):
        raise BadInputError("give either --run FOLDER or --plan FILE")
    model, trust = given.pop("model"), given.pop("trust")
    if run and any(value is not None for value in given.values()):
        raise BadInputError(
            "--weights, --data, --eval-data, --labels and --preprocess go with --plan; a run has its own"
        )
    with terminal.bars() as watch:
        if run:
            exported = export.export_run(run, out, threads, Session(home, watch, terminal.note), trust, model)
        else:
            assert plan is not None
            loaded = PlanFile.load(plan)
            if loaded.setup is None and given["data"] is None:
                given["data"] = NO_DATA
            setup = loaded.setup_with(given | {"model": model}, trust)
            exported = export.export_plan(loaded, setup, out, threads, Session(home, watch, terminal.note))
    options.say(exported.answer(), as_json, exported_table(exported))
