"""What the plots show: which values are kept for how long."""

import asyncio
import math
import time
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any, Final

from gateway.model import Snapshot
from outputs.values import BY_NAME, told
from outputs.values.limits import MODES
from outputs.values.value import of_bank, of_battery
from outputs.web.ring import BINS, Column, Ring, Step, last, mean

BANK: Final = ("voltage", "current", "soc", "cvl", "ccl", "dcl", "min_cell", "max_cell", "min_temperature",
               "max_temperature")  # fmt: skip
LEVELS: Final = ((1.0, 3600), (10.0, 8640), (600.0, 4320))  # step [s] and rows: an hour, a day, 30 days
SPANS: Final = {"10m": (0, 600.0), "1h": (0, 3600.0), "24h": (1, 86400.0), "30d": (2, 30 * 86400.0)}
"""Of a plot: the level it is made of, and its length [s]."""
SAMPLE: Final = 0.9  # s between two rows at least
JOINING: Final = {"min_cell": min, "max_cell": max, "min_temperature": min, "max_temperature": max}
UNKEPT: Final = 720  # rows that may wait for the disk: two hours
DIFFERENCE: Final = "cell_difference/"  # ... of a battery
ROWS: Final = tuple(BY_NAME[name] for name in (*BANK, "charge_mode"))
APART: Final = BY_NAME["cell_difference"]
NUMBERS: Final[dict[object, int]] = {mode: number for number, mode in enumerate(MODES)}  # of a charge mode
Row = dict[str, float]


class History:
    """Rings of all levels; each feeds the next."""

    def __init__(self, *, keeping: bool = False) -> None:
        """`keeping`: rows are collected for the disk, until somebody takes them."""
        self.columns: tuple[Column, ...] = ()
        self.fresh: deque[tuple[float, Row]] = deque(maxlen=UNKEPT if keeping else 0)  # rows of ten seconds
        self._rings: list[Ring] = []
        self._steps: list[Step] = []
        self._at = -math.inf
        self._names: list[str] = []  # of the batteries, as they were last
        self._making = asyncio.Lock()
        self._made: dict[str, dict[str, Any]] = {}  # by span

    def look(self, snapshot: Snapshot) -> None:
        """Keep what a Snapshot says; at most one row a second."""
        if not snapshot.bank.complete or snapshot.at - self._at < SAMPLE:
            return
        self._at = snapshot.at
        if (names := [battery.name for battery in snapshot.bank.batteries]) != self._names:
            self._names = names
            self._have(names)
        self.add(snapshot.wall, row(snapshot), 0)

    def add(self, wall: float, values: Row, level: int) -> None:
        """A row at `wall` [s since the epoch] of one level, and what follows from it in longer steps."""
        self._rings[level].add(wall, values)
        if level == 1:
            self.fresh.append((wall, dict(values)))
        if level < len(self._steps) and (longer := self._steps[level].add(wall, values)) is not None:
            self.add(*longer, level + 1)

    def load(self, rows: Iterable[tuple[float, Row]]) -> "History":
        """Rows of ten seconds that an earlier run has kept, the oldest first."""
        for wall, values in rows:
            self._have(name.removeprefix(DIFFERENCE) for name in values if name.startswith(DIFFERENCE))
            self.add(wall, values, 1)
        return self

    def follow(self, older: "History") -> None:
        """Go on behind what an earlier run has kept: `older` is made in a thread, since it may take seconds."""
        if not older.columns:
            return
        live = list(self._rings[0].rows()) if self._rings else []
        self._rings, self._steps, known = older._rings, older._steps, self.columns
        self.columns = older.columns
        self._have(column.name.removeprefix(DIFFERENCE) for column in known if column.name.startswith(DIFFERENCE))
        self.fresh.clear()
        self._made.clear()
        for wall, values in live:
            self.add(wall, values, 0)

    async def plot(self, span: str, now: float | None = None) -> dict[str, Any]:
        """The points of a plot up to `now` [s since the epoch], made once a step however many ask.

        Nothing waits for it: it pauses after each column.  Raises KeyError for a span that is none.
        """
        level, length = SPANS[span]
        step = length / BINS
        start = math.floor((time.time() if now is None else now) / step + 1) * step - length
        async with self._making:
            if (made := self._made.get(span)) is None or made["start"] != start:
                rings, found = self._rings, {}
                for column in self.columns:
                    found[column.name] = rings[level].bins(column, start, step, BINS)
                    await asyncio.sleep(0)
                made = {"span": span, "start": start, "step": step, "modes": MODES, "values": found}
                if rings is self._rings:  # nothing older has come in meanwhile
                    self._made[span] = made
            return made

    def _have(self, batteries: Iterable[str]) -> None:
        """Columns for these batteries; those that are there stay."""
        known = {column.name for column in self.columns}
        new = [column for column in columns(batteries) if column.name not in known]
        if not new:
            return
        self.columns += tuple(new)
        if not self._rings:
            self._rings = [Ring(self.columns, step, size) for step, size in LEVELS]
            self._steps = [Step(self.columns, step) for step, _ in LEVELS[1:]]
            return
        for ring in self._rings:
            ring.widen(self.columns)
        for longer in self._steps:
            longer.columns = self.columns


def columns(batteries: Iterable[str]) -> Sequence[Column]:
    """Of the bank, and one for each battery."""
    return [
        *(Column(name, JOINING.get(name, mean), BY_NAME[name].digits) for name in BANK),
        Column("charge_mode", last, 0),
        *(Column(f"{DIFFERENCE}{name}", max, 3) for name in batteries),
    ]


def row(snapshot: Snapshot) -> Row:
    """What is kept of a Snapshot; NaN = not known."""
    values = told(of_bank(snapshot), ROWS)
    values["charge_mode"] = NUMBERS.get(values["charge_mode"])
    for state in snapshot.bank.batteries:
        values[f"{DIFFERENCE}{state.name}"] = APART.of(of_battery(snapshot, state))
    return {name: value if isinstance(value, int | float) else math.nan for name, value in values.items()}
