"""Figures: made without a screen, and the same data always gives the same file."""

from pathlib import Path
from typing import Any

from gateway.extras import needed
from gateway.model import GatewayError


def new_figure(width: float, height: float) -> Any:
    """An empty figure [inches].  Raises MissingPart without matplotlib."""
    with needed("--plot"):
        import matplotlib
        from matplotlib.figure import Figure
    matplotlib.rcParams["svg.fonttype"] = "none"  # text stays text
    matplotlib.rcParams["svg.hashsalt"] = "bms-gateway"
    return Figure(figsize=(width, height), layout="constrained")


def save(figure: Any, target: Path) -> None:
    """Write it as .png or .svg.  Raises GatewayError."""
    try:
        figure.savefig(target, metadata={"Date": None} if target.suffix == ".svg" else None)
    except (OSError, ValueError) as problem:
        why = getattr(problem, "strerror", None) or problem
        raise GatewayError(f"{target}: cannot be drawn ({why}), expected a .png or .svg that can be written") from None
