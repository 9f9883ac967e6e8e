"""What the values for an inverter are made of: a Snapshot, and what follows from its batteries."""

from collections.abc import Sequence

from gateway.model import BatteryState, Health, Reading, Snapshot
from outputs.inverter.keys import CELLS


class Source:
    """Fields of rows (outputs.rows); what follows from the batteries is worked out for the dialects that carry it."""

    __slots__ = ("_batteries", "bank", "decision", "life")

    def __init__(self, snapshot: Snapshot) -> None:
        self.bank, self.decision, self.life = snapshot.bank, snapshot.decision, snapshot.life
        self._batteries = snapshot.bank.batteries

    @property
    def modules(self) -> int:
        """Batteries that count and answer, one at least."""
        return max(1, [state.health for state in self._batteries if state.contributes].count(Health.ONLINE))

    @property
    def faulty(self) -> int | None:
        """The first battery that is, by its number in the configuration."""
        return next(iter([n for n, state in enumerate(self._batteries, 1) if _is_faulty(state)]), None)

    @property
    def order(self) -> dict[str, int]:
        """Number of each battery in the configuration."""
        return {state.name: number for number, state in enumerate(self._batteries, 1)}

    @property
    def cell_count(self) -> int | None:
        """Of all batteries together; None unless every one knows."""
        counts = [reading.cells for reading in self._readings]
        return None if None in counts else sum([count or 0 for count in counts]) or None

    @property
    def cells(self) -> Sequence[float | None]:
        """V of each cell of a single battery; none where one is not known, or there are more than can be told."""
        reading = self._only
        cells = () if reading is None else reading.cell_voltages
        return cells if len(cells) <= len(CELLS) and None not in cells else ()

    @property
    def serial(self) -> str:
        """Number of a single battery."""
        reading = self._only
        return "" if reading is None else reading.serial_number or ""

    @property
    def _only(self) -> Reading | None:
        """Of a single battery, not lost."""
        readings = self._readings
        return readings[0] if len(readings) == 1 == len(self._batteries) else None

    @property
    def _readings(self) -> list[Reading]:
        there = [state for state in self._batteries if state.contributes and state.health is not Health.LOST]
        return [state.reading for state in there if state.reading is not None]


def _is_faulty(state: BatteryState) -> bool:
    """It counts for the bank, and raises an alarm or is silent."""
    alarms = state.reading.alarms if state.reading is not None else {}
    return state.control and (state.health in (Health.STALE, Health.LOST) or 2 in alarms.values())
