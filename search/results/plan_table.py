"""The table of one plan."""

from rich.table import Table

from search.results.planfile import PlanFile
from search.results.points import change
from training.metric import title, unit


def plan_table(plan: PlanFile) -> Table:
    """What a plan merges, and where."""
    accuracy = ""
    if plan.metric and plan.accuracy is not None:
        when = "" if plan.setup and plan.setup.zero_shot else " before training"
        reached = f"{plan.accuracy:.2f}{unit(plan.metric)}"
        accuracy = f", {title(plan.metric)} {reached}{when} ({change(plan.drop or 0.0)})"
        if plan.drop_after is not None:
            accuracy += f"; after training it {change(plan.drop_after)}, as far as is known"
    table = Table(
        title=f"plan {plan.plan_id} of {plan.network}: {plan.latency_ms:.2f} ms on {plan.target}, "
        f"{plan.speedup:.2f}x the untouched {plan.baseline_latency_ms:.2f} ms{accuracy}",
        caption=f"latency: {plan.basis}; sites that are not listed are kept",
        min_width=76,  # the title is wrapped to the table
    )
    for heading in ("rule", "where", "option"):
        table.add_column(heading)
    if plan.narrow:
        table.add_row("narrow", "all layers", f"{plan.narrow:g} of the channels")
    for site, option in plan.choices.items():
        rule, _, place = site.partition(":")
        table.add_row(rule, place, option)
    if not plan.choices and not plan.narrow:
        table.add_row("-", "nothing is merged", "keep")
    return table
