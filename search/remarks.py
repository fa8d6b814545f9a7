"""What a user should know before and while a study runs: what is refused, and what is said."""

from search.config import SearchConfig
from search.prepare import Prepared
from search.space.plan_space import WORTH
from search.study.records import StudyRecord
from training.errors import BadInputError
from training.progress import Note

_GUESSING = 1.5


def require_choices(made: Prepared) -> None:
    """Refuse a network that offers nothing to search.

    Raises
    ------
    BadInputError
        It has no site, or only exact merges.
    """
    if made.space.parameters:
        return
    network, target = made.bench.network, made.space.latencies.device.spec.name
    raise BadInputError(
        f"{network.name} offers nothing to search on {target}: {len(network.refused)} places were refused "
        "('sites' lists them and why), and "
        + (
            "its exact merges are a plan without a search: 'plan --preset exact'"
            if made.space.exact
            else "it has no exact merge that saves time either"
        )
    )


def require_positive(metric: str, untouched: float) -> None:
    """Refuse a metric that gives the untouched network nothing to lose.

    Raises
    ------
    BadInputError
        Its value is zero or below.
    """
    if untouched <= 0:
        raise BadInputError(
            f"`metric` {metric} gives {untouched:g} for the untouched network; expected more than 0, the "
            "larger the better (best in percent: figures are shown with two decimals)"
        )


def remark(config: SearchConfig, made: Prepared, record: StudyRecord, note: Note) -> None:
    """Say what is sought, and what the user should know of the study."""
    if config.limits.drop is None and not config.setup.zero_shot:
        sought = WORTH * record.baseline.accuracy
        note(f"plans that keep {sought:.1f} % before training are sought; `max_drop` sets another limit")
    if config.setup.narrow:
        left, before = made.space.score({}).parameters, record.baseline.cost.parameters
        note(
            f"narrowed to {left / 1e6:.2f} of {before / 1e6:.2f} M parameters; trial 0 is that network with "
            "nothing but exact merges: what it loses, narrowing loses"
        )
    _warn_of_guessing(record, note)


def _warn_of_guessing(record: StudyRecord, note: Note) -> None:
    """Warn if the untouched network is no better than chance: accuracies of plans then mean nothing."""
    right = record.baseline.accuracies.top1 if record.baseline.accuracies else 100.0
    if record.classes and right <= _GUESSING * 100 / record.classes:
        note(
            f"warning: the untouched network gets {right:.1f} % right, no better than guessing; "
            "do `weights`, `labels` and `preprocess` belong to it?"
        )
