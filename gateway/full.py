"""Which batteries were full themselves at the end of a charge: only those may be told 100 %.  Sheet: limits.md 5.6.

A battery that was lost, kept out of the bank, switched off or below the others during absorption was not charged with
them, whatever the bank reached.
"""

from collections.abc import Iterable

from gateway.limits import LimitSettings, Site
from gateway.limits.charge_state import ABSORPTION
from gateway.model import BatteryState, Health


class FullCharge:
    """Watches one absorption after the other."""

    def __init__(self) -> None:
        self._full: frozenset[str] | None = None  # None = no absorption is under way

    def look(self, states: Iterable[BatteryState], phase: str, site: Site, paused: bool = False) -> frozenset[str]:
        """Names of those that were full from the beginning of absorption to its end, which is now; else nobody.

        paused  a load pulls the bank's voltage down for a while: nobody is judged by that
        """
        if phase != ABSORPTION and self._full is None:
            return frozenset()
        full = frozenset([state.name for state in states if _is_full(state, site.of(state.name), paused)])
        if phase == ABSORPTION:
            self._full = full if self._full is None else self._full & full
            return frozenset()
        ended, self._full = self._full, None
        return frozenset() if ended is None else ended & full


def _is_full(state: BatteryState, settings: LimitSettings, paused: bool) -> bool:
    """It answers, is part of the bank, takes charge, and is as near to its maximum as absorption wants it."""
    reading = state.reading
    if reading is None or not state.contributes or state.health is not Health.ONLINE or not reading.cells:
        return False
    known = [volts for volts in reading.cell_voltages if volts is not None]
    volts = sum(known) if known and len(known) == len(reading.cell_voltages) else reading.voltage
    most = settings.cell_voltage.max * reading.cells
    asked = reading.max_battery_voltage if settings.use_bms_values else None
    needed = (most if asked is None else min(most, asked)) - settings.absorption.abort(reading.cells)
    return volts is not None and (paused or volts >= needed) and reading.charge_allowed is not False
