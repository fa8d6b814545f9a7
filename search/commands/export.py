"""The ``export`` command."""

from pathlib import Path
from shlex import quote
from typing import Any

import click

from search.called import example, next_steps
from search.commands import kinds, options, terminal
from training.errors import BadInputError
from training.progress import Session


@click.command("export", epilog=example("export --run runs/merged --out model.onnx --original original.onnx"))
@options.folder("--run", text="Run to export: a folder made by 'train --out'.")
@options.file("--plan", text="Instead of a run, a plan that needs no training (exact, or of --zero-shot).")
@options.file("--out", required=True, text="ONNX file to write; for ncnn targets .param and .bin beside it.")
@options.file("--original", text="Write the untouched network too, to be compared by 'bench'.")
@options.number("--threads", 1, "Threads to compute and to time with.", default=1)
@options.own_model
@options.trust
@options.learning
@options.home
@options.as_json
def command(
    run: Path | None,
    plan: Path | None,
    out: Path,
    original: Path | None,
    threads: int,
    home: Path,
    as_json: bool,
    **given: Any,
) -> None:
    """Write a network as ONNX, check its answers, and show its predicted beside its measured latency.

    Answers are checked on the run's test images, or on noise if the plan names no images. A preset's plan
    needs --weights. A run and a plan know their network and images; if these have moved, --weights, --data
    and their like say where they are now. What 'bench' shows is written beside the file, as .json.
    """
    if (run is None) == (plan is None):
        raise BadInputError("give either --run FOLDER or --plan FILE")
    trust = given.pop("trust")
    if run and given["preprocess"] is not None:
        raise BadInputError("--preprocess goes with --plan; a run is fed as it was trained")
    # Files of the same name with other endings are written beside them.
    kinds.require_apart({"--out": out.with_suffix(""), "--original": original and original.with_suffix("")})
    terminal.take_threads(threads)
    from search.deploy import export
    from search.deploy.tables import exported_table, timings_table
    from search.results.planfile import PlanFile
    from training.data.loading import NO_DATA

    wanted = export.Wanted(out, original, threads)
    with terminal.bars() as watch:
        session = Session(home, watch, terminal.note)
        if run:
            exported = export.export_run(run, wanted, session, given, trust)
        else:
            assert plan is not None
            loaded = PlanFile.load(plan)
            if loaded.setup is None and given["data"] is None:
                given["data"] = NO_DATA
            setup = loaded.setup_with(given | export.NOT_JUDGED, trust)
            exported = export.export_plan(loaded, setup, wanted, session)
    parts: list[Any] = [exported_table(exported), timings_table(exported)]
    if original:
        suffix = Path(exported.ncnn).suffix if exported.ncnn else ".onnx"
        files = (quote(str(path.with_suffix(suffix))) for path in (original, out))
        parts.append(next_steps(f"bench {' '.join(files)}"))
    terminal.say(exported.answer(), as_json, *parts)
