"""Rows for what a battery has lived through, what its BMS says where another SoC counts, and times to come.  Pure.

Sheet: venus-dbus.md section 4 (history); limits.md chapter 7.
"""

from collections.abc import Callable, Mapping
from functools import cache
from typing import Final

from gateway.model import Life
from outputs.venus_dbus.entry import (
    AMP_HOURS,
    CELL_VOLTS,
    CELSIUS,
    ENERGY,
    PERCENT,
    SECONDS,
    VOLTS,
    Entry,
    rounded,
    same,
)  # fmt: skip
from outputs.venus_dbus.tree import Value, plain
from outputs.view import Own


def _lived(name: str, digits: int, sign: int = 1) -> Callable[[Life | None], Value]:
    """A figure of the history; discharged Ah are negative there."""

    def figure(life: Life | None) -> Value:
        value = None if life is None else getattr(life, name)
        return None if value is None else rounded(sign * value, digits)

    return figure


def _counted(name: str) -> Callable[[Life | None], Value]:
    return lambda life: None if life is None else getattr(life, name)


HISTORY: Final[tuple[Entry, ...]] = (
    Entry("/History/DeepestDischarge", "d", AMP_HOURS, "life", _lived("deepest_discharge", 1, -1), slow=True),
    Entry("/History/LastDischarge", "d", AMP_HOURS, "life", _lived("last_discharge", 1, -1), slow=True),
    Entry("/History/AverageDischarge", "d", AMP_HOURS, "life", _lived("average_discharge", 1, -1), slow=True),
    Entry("/History/TotalAhDrawn", "d", AMP_HOURS, "life", _lived("total_ah_drawn", 0, -1), slow=True),
    Entry("/History/FullDischarges", "i", plain, "life", _counted("full_discharges"), slow=True),
    Entry("/History/AutomaticSyncs", "i", plain, "life", _counted("automatic_syncs"), slow=True),
    Entry("/History/TimeSinceLastFullCharge", "i", SECONDS, "since_full", same, slow=True),
    Entry("/History/MinimumVoltage", "d", VOLTS, "life", _lived("minimum_voltage", 2), slow=True),
    Entry("/History/MaximumVoltage", "d", VOLTS, "life", _lived("maximum_voltage", 2), slow=True),
    Entry("/History/MinimumCellVoltage", "d", CELL_VOLTS, "life", _lived("minimum_cell_voltage", 3), slow=True),
    Entry("/History/MaximumCellVoltage", "d", CELL_VOLTS, "life", _lived("maximum_cell_voltage", 3), slow=True),
    Entry("/History/MinimumTemperature", "d", CELSIUS, "life", _lived("minimum_temperature", 1), slow=True),
    Entry("/History/MaximumTemperature", "d", CELSIUS, "life", _lived("maximum_temperature", 1), slow=True),
    Entry("/History/LowVoltageAlarms", "i", plain, "life", _counted("low_voltage_alarms"), slow=True),
    Entry("/History/HighVoltageAlarms", "i", plain, "life", _counted("high_voltage_alarms"), slow=True),
    Entry("/History/ChargedEnergy", "d", ENERGY, "life", _lived("charged_energy", 1), slow=True),
    Entry("/History/DischargedEnergy", "d", ENERGY, "life", _lived("discharged_energy", 1), slow=True),
)
"""Rows of a service for which a history is kept."""


def _consumed_of_bms(own: Own | None, capacity: float | None) -> Value:
    if own is None or own.remaining_capacity is None or capacity is None:
        return None
    return rounded(min(0.0, own.remaining_capacity - capacity), 1)


OWN: Final[tuple[Entry, ...]] = (
    Entry("/SocBms", "d", PERCENT, "bms", lambda own: None if own is None else rounded(own.soc, 1)),
    Entry(
        "/CapacityBms", "d", AMP_HOURS, "bms", lambda own: None if own is None else rounded(own.remaining_capacity, 1)
    ),
    Entry("/ConsumedAmphoursBms", "d", AMP_HOURS, "bms capacity", _consumed_of_bms),
)
"""Rows of a service whose SoC is counted by us or comes from a sensor outside: what the BMSs say themselves."""


@cache
def point_entries(points: tuple[float, ...]) -> tuple[Entry, ...]:
    """Rows for the SoC points whose time is told; 12.5 % is /TimeToSoC/12_5."""
    return tuple(
        Entry(f"/TimeToSoC/{point:g}".replace(".", "_"), "i", SECONDS, "time_to_soc", _time_to(point), slow=True)
        for point in points
    )


def _time_to(point: float) -> Callable[[Mapping[float, int | None]], Value]:
    return lambda times: times.get(point)
