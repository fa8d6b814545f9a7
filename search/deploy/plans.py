"""Plans made without a search: presets, and two plans combined."""

from pathlib import Path

from merges.plan import Plan
from search.results.planfile import PlanFile
from search.scoring.availability import priced
from search.scoring.device import Device
from search.scoring.latency import Latencies
from search.space import presets
from search.space.warm_start import lossless
from training.config import ModelConfig
from training.errors import BadInputError
from training.sizes import Size
from training.trust import require_trusted
from training.workbench import structure


def of_preset(
    preset: str,
    model: str,
    input_size: Size | None,
    classes: int | None,
    target: str,
    home: Path,
    within: str | None = None,
) -> PlanFile:
    """A preset's plan of a network, or the exact merges that save time on the target.

    Raises
    ------
    BadInputError
        There is no such preset or network, or the one is not made for the other.
    """
    device = Device.named(target, home)
    network = structure(model, input_size, classes, low_rank=True, within=within)
    exact = preset == presets.EXACT
    choices = lossless(*priced(network, [device])) if exact else presets.preset(preset, network)
    plan = Plan.make(network, choices)
    made = PlanFile.of_plan(network, plan, target, Latencies(network, device).score(plan))
    return made.model_copy(update={"within": within})


def latencies(plan: PlanFile, home: Path, trust: bool = False) -> Latencies:
    """The latencies of a plan's network, built from its name, on the plan's target.

    Raises
    ------
    BadInputError
        The network has changed, or is code that is not trusted.
    """
    name = plan.setup.model if plan.setup else plan.network
    require_trusted(ModelConfig(model=name), (), trust)
    needed = plan.classes if plan.setup and plan.setup.classes else None
    network = structure(
        name,
        plan.input_shape,
        plan.classes,
        low_rank=True,
        within=plan.within,
        needed=needed,
        narrow=plan.narrow,
    )
    plan.fitted(network)
    return Latencies(network, Device.named(plan.target, home))


def rescored(plan_file: PlanFile, found: Latencies) -> PlanFile:
    """The plan as it is, or scored anew where it was edited: it then is no trial's any more.

    Raises
    ------
    BadInputError
        The plan does not fit the network.
    """
    plan = plan_file.fitted(found.network)
    if plan.plan_id == plan_file.plan_id:
        return plan_file
    anew = PlanFile.of_plan(found.network, plan, plan_file.target, found.score(plan))
    # The choices stay as they were written: a run of the plan is known by them.
    kept = {name: getattr(plan_file, name) for name in ("setup", "choices", "within", "narrow")}
    return anew.model_copy(update=kept)


def scored(plan_file: PlanFile, home: Path, trust: bool = False) -> tuple[Latencies, PlanFile]:
    """The latencies of a plan's network, and the plan, scored by them: kernels may have been timed again.

    Raises
    ------
    BadInputError
        The network has changed, or is code that is not trusted.
    """
    found = latencies(plan_file, home, trust)
    plan = rescored(plan_file, found)
    score = found.score(plan.choices)
    known = {"latency_ms": score.latency_ms, "baseline_latency_ms": score.baseline_ms}
    return found, plan.model_copy(update=known | {"speedup": score.speedup, "basis": score.total.basis()})


def merged(first: PlanFile, second: PlanFile, home: Path, trust: bool = False) -> PlanFile:
    """Combine two plans into one, and score it.

    Raises
    ------
    BadInputError
        They are of different networks or targets, disagree about a site, or name code that is not trusted.
    """
    for field in ("network", "within", "fingerprint", "target"):
        ours, theirs = getattr(first, field), getattr(second, field)
        if ours != theirs:
            raise BadInputError(f"the plans differ in {field}: {ours}, {theirs}; merge plans of one network")
    for site in first.choices.keys() & second.choices.keys():
        if first.choices[site] != second.choices[site]:
            raise BadInputError(
                f"the plans disagree about {site}: {first.choices[site]!r} and {second.choices[site]!r}; "
                "take it out of one of them"
            )
    scored = latencies(first, home, trust)
    plan = Plan.make(scored.network, {**first.choices, **second.choices})
    found = PlanFile.of_plan(scored.network, plan, first.target, scored.score(plan))
    kept = {"setup": first.setup or second.setup, "within": first.within, "narrow": first.narrow}
    return found.model_copy(update=kept)
