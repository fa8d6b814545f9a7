"""Make a trained CNN fast on a given CPU by merging its layers. Start: python cli.py search --help"""

import json
import os
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
import optuna
from rich.console import Console

from latency_models import target as targets
from latency_models.measure import NotMeasurableError
from latency_models.predict import UnknownKernelError
from latency_models.table import TableError
from search import deploy, front, report, setup, sites, study, warmstart
from search.evaluate import METRICS, Evaluator, Proxy
from search.latency import Device, Latencies
from search.planfile import PlanFile
from search.space import to_plan
from training.errors import BadInputError
from training.export import ExportError

BAD_INPUT = (BadInputError, targets.TargetError, TableError, UnknownKernelError)
FAILED = (study.SearchFailedError, NotMeasurableError, ExportError, OSError, MemoryError)


def example(text: str) -> str:
    return f"Example: {text}"


def options(*decorators: Callable[..., Any]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def apply(function: Callable[..., Any]) -> Callable[..., Any]:
        for decorator in reversed(decorators):
            function = decorator(function)
        return function

    return apply


MODEL_HELP = "bvlc_googlenet, a torchvision.models name, or package.module:factory."
as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON on standard output, nothing else.")
home = click.option(
    "--home", type=click.Path(file_okay=False, path_type=Path), default=Path("studies"), envvar="REBIRTH_HOME",
    show_default=True, help="Folder of studies, teachers, learned layers and measured tables.",
)
target = click.option("--target", default="arm-a57", show_default=True, help="CPU to be fast on; see 'targets'.")
structure = options(
    click.option("--model", default="googlenet", show_default=True, help=MODEL_HELP),
    click.option("--input-size", type=click.IntRange(8, 2048), help="Side of the input.  [default: the model's own]"),
    click.option("--classes", type=click.IntRange(1), help="Outputs.  [default: the model's own]"),
    target, home, as_json,
)
learning = options(
    click.option("--weights", help="Trained weights (.safetensors or a state dict); none: a teacher is trained."),
    click.option("--data", help="digits, or imagefolder:DIR (one folder of images a class)."),
    click.option("--eval-data", help="imagefolder:DIR that judges plans; then all of --data is learned on."),
    click.option("--labels", help="Text file, a class a line, in the order of the outputs."),
)
storage = options(
    click.option("--storage", envvar="OPTUNA_STORAGE", help="Study database URL.  [default: sqlite file under --home]"),
    home,
)
study_name = click.option("--study", "name", required=True, help="Name of the study, as 'search' printed it.")


def database(url: str | None, folder: Path) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    return url or f"sqlite:///{(folder / 'studies.db').as_posix()}"


def say(answer: dict[str, Any] | list[Any], as_json: bool, *tables: Any) -> None:
    if as_json:
        click.echo(json.dumps(answer, indent=2))
    else:
        for table in tables:
            Console(width=None if sys.stdout.isatty() else 140).print(table)


def tell_left_out(dropped: tuple[str, ...]) -> None:
    if dropped:
        shown = ", ".join(dropped[:3]) + (" ..." if len(dropped) > 3 else "")
        report.notes.print(f"{len(dropped)} unreadable image(s) left out: {shown}")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def cli() -> None:
    """Make a trained CNN fast on a given CPU by merging its layers, found by search.

    The way: search -> front -> plan -> train -> export.
    """


@cli.command(epilog=example("python cli.py search --target arm-a57 --budget 100"))
@click.option("--budget", type=click.IntRange(1), default=100, show_default=True, help="Finished trials to reach.")
@click.option("--model", default="googlenet", show_default=True, help=MODEL_HELP)
@learning
@click.option("--input-size", type=click.IntRange(8, 2048), help="Side of the input.  [default: 64 for digits]")
@click.option("--study", "name", help="Name of the study.  [default: model-target-data-size]")
@click.option("--sampler", type=click.Choice(study.SAMPLERS), default="auto", show_default=True)
@click.option("--metric", type=click.Choice(METRICS), default="top1", show_default=True, help="Accuracy that counts.")
@click.option("--bank-images", type=click.IntRange(10), default=Proxy.bank_images, show_default=True)
@click.option("--relearn-steps", type=click.IntRange(0), default=Proxy.relearn_steps, show_default=True)
@click.option("--proxy-steps", type=click.IntRange(0), default=Proxy.finetune_steps, show_default=True)
@click.option("--teacher-epochs", type=click.IntRange(0), help="Passes over the data for a teacher without weights.")
@click.option("--max-images", type=click.IntRange(10), default=20000, show_default=True, help="Of each folder.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@target
@storage
@as_json
def search(as_json: bool, name: str | None, budget: int, sampler: str, **given: Any) -> None:
    """Search the merges of a network that are fast on a target and keep its accuracy.

    Without other arguments: GoogLeNet on scikit-learn's handwritten digits, trained first. The same
    command again continues the study; the budget counts all its finished trials.
    """
    asked = setup.Setup(**{k: v for k, v in given.items() if k in setup.Setup.model_fields and v is not None})
    proxy = Proxy(given["bank_images"], relearn_steps=given["relearn_steps"], finetune_steps=given["proxy_steps"], metric=given["metric"])
    device = Device.named(given["target"], given["home"])
    url = database(given["storage"], given["home"])
    with report.bars() as watch:
        bench = setup.workbench(asked, given["home"], watch)
        tell_left_out(bench.data.dropped)
        latencies = Latencies(bench.network, device)
        latencies.learn_all(watch(f"measuring kernels on {device.spec.name}"))
        where = Path(asked.data.partition(":")[2] or asked.data).name
        name = name or f"{asked.model.replace(':', '.')}-{device.spec.name}-{where}-{bench.network.input_shape[1]}"
        evaluator = Evaluator(bench, latencies, proxy, given["home"])
        running = study.start(name, url, evaluator, sampler, {"budget": budget, "sampler": sampler, **_plain(given)})
        report.notes.print(f"study {name}: {proxy.describe()}")
        try:
            study.run(running, evaluator, budget, watch("trials"))
        except KeyboardInterrupt:
            done = len(study.finished(running))
            raise study.SearchFailedError(f"interrupted; {done} finished trials are kept, the same command continues") from None
    found = front.read(running)
    say(found.answer(), as_json, report.front_table(found), report.next_commands(found))


def _plain(given: dict[str, Any]) -> dict[str, Any]:
    return {key: str(value) if isinstance(value, Path) else value for key, value in given.items() if key != "storage"}


@cli.command("front", epilog=example("python cli.py front --study googlenet-arm-a57-digits-64 --html front.html"))
@study_name
@storage
@click.option("--csv", type=click.Path(dir_okay=False, path_type=Path), help="Write the points to a CSV file.")
@click.option("--html", type=click.Path(dir_okay=False, path_type=Path), help="Write a page that works offline.")
@as_json
def show_front(name: str, storage: str | None, home: Path, csv: Path | None, html: Path | None, as_json: bool) -> None:
    """Show the Pareto front of a study, from its database alone."""
    found = front.read(study.open_study(name, database(storage, home)))
    if csv:
        report.write_csv(found, csv)
    if html:
        report.write_html(found, html)
    say(found.answer(), as_json, report.front_table(found), report.next_commands(found))


@cli.command(epilog=example("python cli.py plan --study googlenet-arm-a57-digits-64 --max-drop 0.5 --out plan.json"))
@click.option("--study", "name", help="Choose from this study ...")
@click.option("--trial", type=int, help="... this trial,")
@click.option("--max-drop", type=float, help="... the fastest plan that loses at most so many points,")
@click.option("--max-latency", type=float, help="... the most accurate plan of at most so many milliseconds,")
@click.option("--speedup", type=float, help="... the most accurate plan that is at least so many times faster.")
@click.option("--preset", help="A hand-made plan by name instead: paper.")
@click.option("--storage", envvar="OPTUNA_STORAGE", help="Study database URL.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Write the plan as JSON.")
@structure
def plan(name: str | None, preset: str | None, out: Path | None, as_json: bool, **given: Any) -> None:
    """Select a plan from a study, or a preset, and say what it merges where."""
    if (name is None) == (preset is None):
        raise BadInputError("give either --study NAME or --preset NAME")
    if preset:
        network = setup.structure(given["model"], given["input_size"], given["classes"])
        latencies = Latencies(network, Device.named(given["target"], given["home"]))
        chosen = to_plan(network, warmstart.preset(preset, network))
        found = PlanFile.of_plan(network, chosen, given["target"], latencies.score(chosen.choice))
    else:
        opened = study.open_study(str(name), database(given["storage"], given["home"]))
        wishes = (given["trial"], given["max_drop"], given["max_latency"], given["speedup"])
        found = PlanFile.of_trial(opened, front.select(front.read(opened), *wishes))
    if out:
        found.save(out)
        report.notes.print(f"plan written to {out}")
    say(found.model_dump(mode="json"), as_json, report.plan_table(found))


@cli.command(epilog=example("python cli.py train --plan plan.json --epochs 10 --out runs/merged"))
@click.option("--plan", "path", type=click.Path(path_type=Path), required=True, help="As 'plan --out' wrote it.")
@click.option("--epochs", type=int, default=10, show_default=True, help="Passes over the training images.")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), required=True, help="Folder of the run.")
@learning
@home
@as_json
def train(path: Path, epochs: int, out: Path, home: Path, as_json: bool, **given: Any) -> None:
    """Fine-tune a plan's network fully against its teacher. The same command again resumes."""
    chosen = PlanFile.load(path)
    base = chosen.setup or setup.Setup(model=chosen.network, input_size=chosen.input_shape[1])
    asked = base.model_copy(update={k: v for k, v in given.items() if v is not None})
    with report.bars() as watch:
        trained = deploy.train(chosen, asked, epochs, out, home, watch)
    say(trained.answer(), as_json, report.trained_table(trained), f"Next:\n  python cli.py export --run {out} --out model.onnx")


@cli.command(epilog=example("python cli.py export --run runs/merged --out model.onnx"))
@click.option("--run", type=click.Path(file_okay=False, path_type=Path), required=True, help="Folder of a finished run.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), required=True, help="ONNX file to write.")
@click.option("--threads", type=click.IntRange(1), default=1, show_default=True, help="For the timing.")
@home
@as_json
def export(run: Path, out: Path, threads: int, home: Path, as_json: bool) -> None:
    """Write a trained network as ONNX, check its answers, time it beside the original."""
    with report.bars() as watch:
        exported = deploy.export(run, out, threads, home, watch)
    say(exported.answer(), as_json, report.exported_table(exported))


@cli.command("sites", epilog=example("python cli.py sites --model bvlc_googlenet --target arm-a57"))
@structure
def show_sites(model: str, input_size: int | None, classes: int | None, target: str, home: Path, as_json: bool) -> None:
    """List what can be merged in a network, and what each option alone does to its latency."""
    latencies = Latencies(setup.structure(model, input_size, classes), Device.named(target, home))
    with report.bars() as watch:
        latencies.learn_all(watch(f"measuring kernels on {target}"))
        listing = sites.list_sites(latencies)
    tables = [report.sites_table(listing)] + ([report.refused_table(listing)] if listing.network.refused else [])
    say(listing.answer(), as_json, *tables)


@cli.command("targets", epilog=example("python cli.py targets --json"))
@as_json
def show_targets(as_json: bool) -> None:
    """List the targets and what their latencies rest on."""
    known = [targets.load(name) for name in targets.names()]
    fields = ("name", "device", "runtime", "threads", "precision", "kind", "source")
    answer = [{k: v for k, v in asdict(spec).items() if k in fields} for spec in known]
    say(answer, as_json, report.targets_table(known))


@cli.command(epilog=example("python cli.py profile --model alexnet --target arm-a57 --by-layer"))
@click.option("--by-layer", is_flag=True, help="Only the untouched network, every kernel of it.")
@structure
def profile(by_layer: bool, model: str, target: str, home: Path, as_json: bool, **given: Any) -> None:
    """Latency of a network, layer by layer; --target host measures all that its plans can reach, now."""
    latencies = Latencies(setup.structure(model, given["input_size"], given["classes"]), Device.named(target, home))
    with report.bars() as watch:
        if not by_layer:
            count = latencies.learn_all(watch(f"measuring kernels on {target}"), again=True)
            report.notes.print(f"{count} kernels measured now" if count else f"{target} has a shipped table: nothing is measured")
        rows = latencies.by_layer()
    answer = {
        "network": model, "target": target, "total_ms": sum(latency.us for _, latency in rows) / 1000,
        "layers": [
            {"name": row.name, "op": row.kernel.op, "latency_ms": latency.us / 1000, "kind": latency.kind, "kernel": row.kernel.key}
            for row, latency in rows
        ],
    }
    spec = latencies.device.spec
    basis = f"{latencies.score({}).total.basis()} - {spec.source} ({spec.device}, {spec.runtime})"
    say(answer, as_json, report.layers_table(answer, basis))


def main() -> None:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        cli.main(standalone_mode=False)
    except BAD_INPUT as error:
        _end(str(error), 2)
    except click.ClickException as error:
        _end(error.format_message(), 2)
    except (KeyboardInterrupt, click.Abort):
        _end("interrupted", 1)
    except FAILED as error:
        _end(str(error) or type(error).__name__, 1)


def _end(message: str, code: int) -> None:
    report.notes.print(f"error: {message}", soft_wrap=True, markup=False)
    sys.stdout.flush()
    os._exit(code) if code == 1 and message == "interrupted" else sys.exit(code)


if __name__ == "__main__":
    main()
