"""Notices training that diverges, where it happens."""

import torch
from torch import Tensor

from training.errors import DivergedError


def require_finite(values: Tensor, what: str) -> None:
    """Refuse values that are infinite or not a number; `what` names them in the message.

    Raises
    ------
    DivergedError
        One of them is not finite.
    """
    if not bool(torch.isfinite(values).all()):
        raise DivergedError(f"{what} is not finite")
