"""How goals are titled in tables, and how values are written."""

PARAMETERS = "parameters (M)"


def readable(value: float) -> str:
    """Two decimals, or three digits below a tenth."""
    return f"{value:.2f}" if value >= 0.1 else f"{value:.3g}"
