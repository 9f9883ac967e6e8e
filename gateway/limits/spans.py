"""Spans of time in sentences: told in steps, for a sentence that is another one each second floods whoever keeps it."""

import math
from typing import Final

STEPS: Final = ((60.0, 10.0), (3600.0, 60.0))  # s: below this long, so finely
COARSEST: Final = 900.0  # s


def left(seconds: float) -> str:
    """How long it still takes, rounded up to a step: "40 s"."""
    step, span = _step(seconds), max(0.0, seconds)
    return f"{math.ceil(span / step) * step if math.isfinite(span) else span:.0f} s"


def past(seconds: float) -> str:
    """How long it has been so, rounded down to a step; what is shorter than the finest one, to a second."""
    step = _step(seconds)
    return f"{seconds // step * step if step <= seconds < math.inf else seconds:.0f} s"


def _step(seconds: float) -> float:
    return next((step for below, step in STEPS if seconds < below), COARSEST)
