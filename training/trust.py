"""Plans, studies and runs name code of the user's own (factories); it runs only if the user says so."""

from collections.abc import Collection

from training.config import ModelConfig, is_factory
from training.errors import BadInputError
from training.metric import is_own
from training.source import named


def require_trusted(setup: ModelConfig, given: Collection[object], trust: bool) -> None:
    """Refuse settings that would run code, unless the user trusts them or has given its name.

    Raises
    ------
    BadInputError
        A factory of the model or the images, or a metric, is not among what is `given`.
    """
    code = [setup.model] if is_factory(setup.model) else []
    code += [spec for spec in (setup.data, setup.eval_data) if spec and ":" in spec and named(spec).runs_code]
    code += [setup.metric] if setup.metric and is_own(setup.metric) else []
    unnamed = [name for name in code if name not in given]
    if unnamed and not trust:
        raise BadInputError(
            f"the plan names {unnamed[0]!r}, which would run code of that module; "
            "if you trust it, give `trust`"
        )
