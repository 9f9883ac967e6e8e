"""Counters of a battery's life.  Sheet: limits.md chapter 7."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Final

from gateway.model import BankState

DEEP: Final = 0.05  # share of the capacity from which a discharge counts as one
LONGEST_STEP: Final = 10.0  # s; nothing is integrated over a longer gap
FULL_DISCHARGE_REARM: Final = 15.0  # % above which the next 0 % counts again


@dataclass(frozen=True, slots=True)
class History:
    """Amounts in Ah and kWh, positive; outputs give them the sign of their bus."""

    deepest_discharge: float = 0.0  # Ah
    last_discharge: float = 0.0  # Ah
    total_ah_drawn: float = 0.0  # Ah
    deep_discharges: int = 0
    full_discharges: int = 0
    automatic_syncs: int = 0
    minimum_voltage: float | None = None  # V
    maximum_voltage: float | None = None
    minimum_cell_voltage: float | None = None
    maximum_cell_voltage: float | None = None
    minimum_temperature: float | None = None  # °C
    maximum_temperature: float | None = None
    low_voltage_alarms: int = 0
    high_voltage_alarms: int = 0
    charged_energy: float = 0.0  # kWh
    discharged_energy: float = 0.0  # kWh
    discharging: bool = False  # by the average current
    empty_armed: bool = True
    was_low: bool = False
    was_high: bool = False

    @property
    def average_discharge(self) -> float:
        """Ah per discharge deeper than 5 %."""
        return self.total_ah_drawn / self.deep_discharges if self.deep_discharges else 0.0

    def persisted(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)

    @classmethod
    def restore(cls, data: Any) -> "History":
        """From JSON; what does not fit its field is left at its start."""
        if not isinstance(data, Mapping):
            return cls()
        kept = {f.name: data[f.name] for f in fields(cls) if f.name in data and _fits(f.default, data[f.name])}
        return cls(**kept)


def _fits(default: Any, value: Any) -> bool:
    if isinstance(default, bool):
        return isinstance(value, bool)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return default is None and value is None
    return math.isfinite(value) and (default is None or value >= 0) and not (isinstance(default, int) and value % 1)


def lived(
    history: History, bank: BankState, average: float | None, soc: float | None, seconds: float, full: bool
) -> History:
    """`history` after `seconds` more with the bank as it is."""
    drawn, power = 0.0, bank.power or 0.0
    if 0 < seconds <= LONGEST_STEP:
        drawn = max(0.0, -(bank.current or 0.0)) * seconds / 3600
    hours = seconds / 3.6e6 if 0 < seconds <= LONGEST_STEP else 0.0
    history = _discharge(history, bank, average, drawn)
    low, high = _raised(bank, "low"), _raised(bank, "high")
    empty = soc is not None and soc <= 0
    return replace(
        history,
        automatic_syncs=history.automatic_syncs + full,
        full_discharges=history.full_discharges + (empty and history.empty_armed),
        empty_armed=(history.empty_armed and not empty) or (soc is not None and soc > FULL_DISCHARGE_REARM),
        minimum_voltage=_least(history.minimum_voltage, bank.voltage),
        maximum_voltage=_most(history.maximum_voltage, bank.voltage),
        minimum_cell_voltage=_least(history.minimum_cell_voltage, bank.min_cell.value if bank.min_cell else None),
        maximum_cell_voltage=_most(history.maximum_cell_voltage, bank.max_cell.value if bank.max_cell else None),
        minimum_temperature=_least(
            history.minimum_temperature, bank.min_temperature.value if bank.min_temperature else None
        ),
        maximum_temperature=_most(
            history.maximum_temperature, bank.max_temperature.value if bank.max_temperature else None
        ),
        low_voltage_alarms=history.low_voltage_alarms + (low and not history.was_low),
        high_voltage_alarms=history.high_voltage_alarms + (high and not history.was_high),
        was_low=low,
        was_high=high,
        charged_energy=history.charged_energy + max(0.0, power) * hours,
        discharged_energy=history.discharged_energy + max(0.0, -power) * hours,
    )


def _discharge(history: History, bank: BankState, average: float | None, drawn: float) -> History:
    """Phases of discharge, by the sign of the average current."""
    discharging = average < 0 if average is not None else history.discharging
    begins = discharging and not history.discharging
    last = drawn if begins else history.last_discharge + (drawn if discharging else 0.0)
    deep = (bank.capacity or math.inf) * DEEP
    crossed = discharging and last > deep and (begins or history.last_discharge <= deep)
    consumed = 0.0
    if bank.capacity is not None and bank.remaining_capacity is not None:
        consumed = max(0.0, bank.capacity - bank.remaining_capacity)
    return replace(
        history,
        discharging=discharging,
        last_discharge=last,
        total_ah_drawn=history.total_ah_drawn + drawn,
        deep_discharges=history.deep_discharges + crossed,
        deepest_discharge=max(history.deepest_discharge, consumed),
    )


def _raised(bank: BankState, side: str) -> bool:
    return bool(bank.alarms.get(f"{side}_voltage") or bank.alarms.get(f"{side}_cell_voltage"))


def _least(kept: float | None, value: float | None) -> float | None:
    return min((v for v in (kept, value) if v is not None), default=None)


def _most(kept: float | None, value: float | None) -> float | None:
    return max((v for v in (kept, value) if v is not None), default=None)
