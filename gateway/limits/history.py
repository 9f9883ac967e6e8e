"""Counters of a battery's life.  Sheet: limits.md chapter 7."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from operator import attrgetter, ge, le
from typing import Any, Final

from gateway.limits.calendar import date_in
from gateway.limits.flow import LONGEST_STEP
from gateway.model import BankState, Extreme, Life
from gateway.model.records import made, replace

DEEP: Final = 0.05  # share of the capacity from which a discharge counts as one
MOST: Final = 1e9  # no counter of ours gets so far
FULL_DISCHARGE_REARM: Final = 15.0  # % above which the next 0 % counts again


@dataclass(frozen=True)
class History:
    """Amounts in Ah and kWh, positive; outputs give them the sign of their bus."""

    begun: bool = False  # what the BMS knows of the time before us has been taken over
    deepest_discharge: float = 0.0  # Ah
    last_discharge: float = 0.0  # Ah
    total_ah_drawn: float = 0.0  # Ah
    deep_discharges: int = 0
    full_discharges: int = 0
    automatic_syncs: int = 0
    last_full_charge: float = 0.0  # date of the gateway's own calendar; 0 = never
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
    def average_discharge(self) -> float | None:
        """Ah per discharge deeper than 5 %."""
        return self.total_ah_drawn / self.deep_discharges if self.deep_discharges else None

    def persisted(self) -> dict[str, Any]:
        """As JSON."""
        return {name: getattr(self, name) for name in FIELDS}

    @classmethod
    def restore(cls, data: Any) -> "History":
        """From JSON; what does not fit its field is left at its start."""
        if not isinstance(data, Mapping):
            return cls()
        kept = {f.name: data[f.name] for f in fields(cls) if f.name in data and _fits(f.default, data[f.name])}
        return replace(cls(**kept), last_full_charge=date_in(data.get("last_full_charge")) or 0.0)


FIELDS: Final = tuple([field.name for field in fields(History)])  # plain values, all of them


def _fits(default: Any, value: Any) -> bool:
    if isinstance(default, bool):
        return isinstance(value, bool)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return default is None and value is None
    least = -MOST if default is None else 0.0
    return least <= value <= MOST and not (isinstance(default, int) and value % 1)  # NaN fails this, too


def begun(history: History, bank: BankState, float_voltage: float | None) -> History:
    """At the first start: what the BMS's own cycles say about the time before us; `float_voltage` [V] of the pack."""
    if history.begun or bank.capacity is None:
        return history
    drawn = (bank.charge_cycles or 0) * bank.capacity
    energy = drawn * (float_voltage or 0.0) / 1000
    return replace(
        history,
        begun=True,
        total_ah_drawn=max(history.total_ah_drawn, drawn),
        charged_energy=max(history.charged_energy, energy),
        discharged_energy=max(history.discharged_energy, energy),
    )


def charge_cycles(history: History, bank: BankState) -> float | None:
    """The BMS's count, else what was drawn in whole capacities; None when neither is known."""
    if bank.charge_cycles is not None:
        return float(bank.charge_cycles)
    return history.total_ah_drawn / bank.capacity if bank.capacity else None


def figures(history: History, bank: BankState, ahead: float) -> Life:
    """What outputs publish; `ahead` [s]: by how much the wall clock, which they tell times by, is ahead of the date."""
    cycles = charge_cycles(history, bank)
    return made(
        Life,
        **dict(zip(_SAME, _THEM(history), strict=True)),
        average_discharge=history.average_discharge,
        charge_cycles=cycles,
        last_full_charge=history.last_full_charge + ahead if history.last_full_charge else None,
    )


_SAME: Final = tuple(
    [f.name for f in fields(Life) if f.name not in ("average_discharge", "charge_cycles", "last_full_charge")]
)
_THEM: Final = attrgetter(*_SAME)

GROUPS: Final[Mapping[int, str]] = {
    1: "all", 2: "capacity", 3: "voltages", 4: "time", 5: "alarms", 6: "temperature", 7: "energy",
}  # fmt: skip
"""What may be cleared at once, by the number that Victron's GUI writes."""

CLEARED: Final[Mapping[int, tuple[str, ...]]] = {
    2: ("deepest_discharge", "last_discharge", "total_ah_drawn", "deep_discharges", "full_discharges"),
    3: ("minimum_voltage", "maximum_voltage", "minimum_cell_voltage", "maximum_cell_voltage"),
    4: ("last_full_charge",),
    5: ("low_voltage_alarms", "high_voltage_alarms"),
    6: ("minimum_temperature", "maximum_temperature"),
    7: ("charged_energy", "discharged_energy"),
}
"""What History/Clear resets; 1 is everything."""


def cleared(history: History, what: int) -> History:
    """`history` without one group of figures (CLEARED), or without any (1)."""
    fresh = History(begun=True)
    if what == 1:
        return fresh
    return replace(history, **{name: getattr(fresh, name) for name in CLEARED.get(what, ())})


def lived(
    history: History,
    bank: BankState,
    current: float | None,
    average: float | None,
    soc: float | None,
    seconds: float,
    full_at: float | None,
) -> History:
    """`history` after `seconds` more with `current` [A] flowing, `average` [A] over minutes, and `soc` [%].

    full_at  the date, when a charge was completed right now
    """
    hours = seconds / 3600 if 0 < seconds <= LONGEST_STEP else 0.0
    flow = current or 0.0
    energy = flow * (bank.voltage or 0.0) * hours / 1000  # kWh
    return replace(
        history,
        **_discharge(history, bank, average, max(0.0, -flow) * hours),
        **_extremes(history, bank),
        **_events(history, bank, soc, full_at),
        charged_energy=history.charged_energy + max(0.0, energy),
        discharged_energy=history.discharged_energy + max(0.0, -energy),
    )


def _events(history: History, bank: BankState, soc: float | None, full_at: float | None) -> dict[str, Any]:
    """What is counted; {} while nothing happens."""
    low, high = (_raised(bank, "low"), _raised(bank, "high")) if any(bank.alarms.values()) else (False, False)
    empty = soc is not None and soc <= 0
    armed = (history.empty_armed and not empty) or (soc is not None and soc > FULL_DISCHARGE_REARM)
    if (full_at, armed, low, high) == (None, history.empty_armed, history.was_low, history.was_high):
        return {}
    return {
        "automatic_syncs": history.automatic_syncs + (full_at is not None),
        "last_full_charge": history.last_full_charge if full_at is None else full_at,
        "full_discharges": history.full_discharges + (empty and history.empty_armed),
        "empty_armed": armed,
        "low_voltage_alarms": history.low_voltage_alarms + (low and not history.was_low),
        "high_voltage_alarms": history.high_voltage_alarms + (high and not history.was_high),
        "was_low": low,
        "was_high": high,
    }


LOWEST: Final = ("minimum_voltage", "minimum_cell_voltage", "minimum_temperature")
HIGHEST: Final = ("maximum_voltage", "maximum_cell_voltage", "maximum_temperature")
_BOTTOMS: Final = attrgetter(*LOWEST)
_TOPS: Final = attrgetter(*HIGHEST)


def _extremes(history: History, bank: BankState) -> dict[str, Any]:
    """The lowest and highest ever; {} where all that is now lies between them."""
    bottoms, tops = _BOTTOMS(history), _TOPS(history)
    lows = bank.voltage, _value(bank.min_cell), _value(bank.min_temperature)
    highs = bank.voltage, _value(bank.max_cell), _value(bank.max_temperature)
    known = None not in (*bottoms, *tops, *lows, *highs)
    if known and all(map(le, bottoms, lows)) and all(map(ge, tops, highs)):  # type: ignore[arg-type]
        return {}
    return dict(zip((*LOWEST, *HIGHEST), (*map(_least, bottoms, lows), *map(_most, tops, highs)), strict=True))


def _value(extreme: Extreme | None) -> float | None:
    return None if extreme is None else extreme.value


def _discharge(history: History, bank: BankState, average: float | None, drawn: float) -> dict[str, Any]:
    """Phases of discharge, by the sign of the average current."""
    discharging = average < 0 if average is not None else history.discharging
    begins = discharging and not history.discharging
    last = drawn if begins else history.last_discharge + (drawn if discharging else 0.0)
    deep = (bank.capacity or math.inf) * DEEP
    crossed = discharging and last > deep and (begins or history.last_discharge <= deep)
    consumed = 0.0
    if bank.capacity is not None and bank.remaining_capacity is not None:
        consumed = max(0.0, bank.capacity - bank.remaining_capacity)
    return {
        "discharging": discharging,
        "last_discharge": last,
        "total_ah_drawn": history.total_ah_drawn + drawn,
        "deep_discharges": history.deep_discharges + crossed,
        "deepest_discharge": max(history.deepest_discharge, consumed),
    }


def _raised(bank: BankState, side: str) -> bool:
    return bool(bank.alarms.get(f"{side}_voltage") or bank.alarms.get(f"{side}_cell_voltage"))


def _least(kept: float | None, value: float | None) -> float | None:
    return value if kept is None or (value is not None and value < kept) else kept


def _most(kept: float | None, value: float | None) -> float | None:
    return value if kept is None or (value is not None and value > kept) else kept
