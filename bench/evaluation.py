"""One evaluation of the limits, for one battery and for sixteen."""

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from gateway.bank import aggregate
from gateway.limits import LimitSettings, Memory, Site, evaluate
from tests.make import battery, reading

Row = tuple[str, str, str]


def evaluation(folder: Path, seconds: float) -> Iterator[Row]:
    """Time of one evaluation with changing readings, in one process."""
    site = Site(limits=LimitSettings())
    for count, budget in ((1, ""), (16, "< 2 ms")):
        states = [battery(f"pack-{n}") for n in range(count)]
        memory, rounds, spent = Memory(), 300, 0.0
        for second in range(rounds):
            cells = tuple(3.3 + 0.0005 * (second % 200) + 0.0003 * n for n in range(16))
            states = [replace(state, reading=reading(cell_voltages=cells, voltage=sum(cells))) for state in states]
            bank = aggregate(states, complete=True)
            began = time.perf_counter()
            _, memory = evaluate(bank, site, memory, float(second), 1.79e9 + second)
            spent += time.perf_counter() - began
        yield f"limits: one evaluation, {count} x 16 cells", f"{1000 * spent / rounds:.3f} ms", budget
