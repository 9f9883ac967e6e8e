"""Snapshot -> the values that a dialect towards inverters can carry.

What is not known is left out; the dialect's file says what stands in its bytes (docs/outputs.md).  The SoC says 100
only when it is 100, because some inverters stop charging there, before balancing is done (sheet: section 10).

Limits: a direction that is forbidden has a limit of 0 A and its enable bit cleared, as inverters differ in which they
look at; so has one with a limit below the step in which dialects tell it, which would read 0 A.  The charge voltage
limit stays what was decided: at a CVL of 0 some dump the battery, others raise an alarm.

Sheet: can-inverter-protocols.md sections 10, 11 and 14; limits.md sections 4.4 and 8.2.
"""

import math
from collections.abc import Container, Iterator, Mapping, Sequence
from typing import Any, Final

from gateway.model import Extreme, Life, Snapshot
from outputs.inverter.keys import CELLS, Value
from outputs.inverter.source import Source
from outputs.rows import How, News, Row, Rows

FULL: Final = 99.95  # %, what counts as 100 %

STANDBY, CHARGING, DISCHARGING = 1, 2, 3  # Growatt's operating states; sheet: section 7
LEAST: Final = 0.1  # A, the step in which dialects tell currents and limits

# Our alarm -> (flag at level 2, flag at level 1); of several the first that the dialect has.  Sheet: section 11.
_HIGH_VOLTAGE: Final = (("p_over_voltage", "p_cell_over_voltage"), ("a_high_voltage", "a_cell_high_voltage"))
_LOW_VOLTAGE: Final = (("p_under_voltage", "p_cell_under_voltage"), ("a_low_voltage", "a_cell_low_voltage"))
_HOT_INSIDE: Final = (
    ("p_mosfet_over_temperature", "p_over_temperature"),
    ("a_mosfet_high_temperature", "a_high_temperature"),
)
_HOT: Final = (("p_over_temperature",), ("a_high_temperature",))
_INTERNAL: Final = (("p_system_error", "a_internal_comm_fail"), ("a_internal_comm_fail",))
ALARM_FLAGS: Final[Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]]] = {
    "high_voltage": _HIGH_VOLTAGE,
    "high_cell_voltage": (
        ("high_cell_voltage_alarm", "p_cell_over_voltage", "p_over_voltage"),
        ("high_cell_voltage_warning", "a_cell_high_voltage", "a_high_voltage"),
    ),
    "low_voltage": _LOW_VOLTAGE,
    "low_cell_voltage": (
        ("low_cell_voltage_alarm", "p_cell_under_voltage", "p_under_voltage"),
        ("low_cell_voltage_warning", "a_cell_low_voltage", "a_low_voltage"),
    ),
    "high_temperature": _HOT,
    "high_internal_temperature": _HOT_INSIDE,
    "high_charge_temperature": (
        ("high_charge_temperature_alarm", "p_over_temperature"),
        ("high_charge_temperature_warning", "a_high_temperature"),
    ),
    "low_temperature": (("p_under_temperature",), ("a_low_temperature",)),
    "low_charge_temperature": (
        ("low_charge_temperature_alarm", "p_under_temperature"),
        ("low_charge_temperature_warning", "a_low_temperature"),
    ),
    "high_discharge_current": (("p_discharge_over_current",), ("a_discharge_high_current",)),
    "high_charge_current": (("p_charge_over_current",), ("a_charge_high_current",)),
    "short_circuit": (("short_circuit_alarm", "p_discharge_over_current"), ("short_circuit_warning",)),
    "fuse_blown": (("contactor_alarm", "p_system_error"), ("contactor_warning",)),
    "internal_failure": _INTERNAL,
    "bms_cable": _INTERNAL,
    "cell_imbalance": (("cell_imbalance_alarm", "cell_imbalance_warning"), ("cell_imbalance_warning",)),
}


class Every:
    """What each Snapshot says, for a dialect that has `keys`; what is not known is left out.

    While nothing changes it is the same object, so whoever is told it leaves it as it is.
    """

    def __init__(self, keys: Container[str]) -> None:
        self._rows = Rows()
        self._rows.extend([row for row in TABLE if row.name in keys])
        self._rows.extend(_flags(keys))
        self._said: dict[str, Value] = {}

    def __call__(self, snapshot: Snapshot) -> dict[str, Value]:
        """What `snapshot` says."""
        return self._rows.update(Source(snapshot), self._take)

    def _take(self, news: News) -> dict[str, Value]:
        if news:
            said = {**self._said, **dict(news)}
            for key, value in news:
                if value is None or (isinstance(value, float) and not math.isfinite(value)):
                    del said[key]
            self._said = said
        return self._said


def values_of(snapshot: Snapshot, keys: Container[str]) -> dict[str, Value]:
    """What one `snapshot` says, for a dialect that has `keys`; what is not known is left out."""
    return Every(keys)(snapshot)


def safe(values: Mapping[str, Value], keys: Container[str]) -> dict[str, Value]:
    """`values` with both directions closed and the alarms that say why: nobody can vouch for the battery."""
    closed: dict[str, Value] = {
        "charge_current_limit": 0.0, "discharge_current_limit": 0.0, "charge_enable": 0, "discharge_enable": 0,
        "force_charge_1": 0, "force_charge_2": 0, "full_charge": 0, "p_system_error": 1, "a_internal_comm_fail": 1,
        "protections_valid": 1, "operating_state": STANDBY, "system_state": STANDBY,
    }  # fmt: skip
    return {**values, **{key: value for key, value in closed.items() if key in keys}}


def raised(alarms: Mapping[str, int], keys: Container[str]) -> dict[str, Value]:
    """The flags of the alarms that stand: level 2 as protection, level 1 as warning."""
    flags: dict[str, Value] = {}
    for name, level in alarms.items():
        if level and name in ALARM_FLAGS:
            candidates = ALARM_FLAGS[name][0 if level >= 2 else 1]
            flags.update(dict.fromkeys([key for key in candidates if key in keys][:1], 1))
    return flags


def _flags(keys: Container[str]) -> Iterator[Row]:
    """As `raised`: a row for each flag of the dialect that some alarm raises."""
    by: dict[str, list[tuple[str, bool]]] = {}
    for name, ways in ALARM_FLAGS.items():
        for severe, candidates in zip((True, False), ways, strict=True):
            for key in [key for key in candidates if key in keys][:1]:
                by.setdefault(key, []).append((name, severe))
    for key, alarms in by.items():
        yield Row(key, "decision.alarms", _raised_by(alarms))


def _raised_by(alarms: Sequence[tuple[str, bool]]) -> How:
    """1 while one of these stands, at level 2 (True) or below it (False); else not said."""

    def raised_now(levels: Mapping[str, int]) -> int | None:
        for name, severe in alarms:
            if (level := levels.get(name)) and (level >= 2) is severe:
                return 1
        return None

    return raised_now


def _same(value: Any) -> Any:
    """As it stands."""
    return value


def _limit(amps: float, allowed: bool) -> float:
    """A; 0 where it is forbidden, or would read 0."""
    return 0.0 if not allowed or amps < LEAST else amps


def _enabled(amps: float, allowed: bool) -> int:
    return int(_limit(amps, allowed) > 0)


def _asked(amps: float, allowed: bool, wish: bool) -> int:
    """A charge from the grid, where one is allowed."""
    return int(_limit(amps, allowed) > 0 and wish)


def _first(decided: float | None, told: float | None) -> float | None:
    """What the rules made of it, else what the BMSs say."""
    return told if decided is None else decided


def _percent(decided: float | None, told: float | None) -> int | None:
    """Whole percent; 100 only for a full battery."""
    soc = _first(decided, told)
    if soc is None or not math.isfinite(soc):
        return None
    return min(math.floor(soc + 0.5), 100 if soc >= FULL else 99)


def _value(extreme: Extreme | None) -> float | None:
    return None if extreme is None else extreme.value * 1.0


def _millivolts(extreme: Extreme | None) -> float | None:
    return None if extreme is None else extreme.value * 1000


def _spread(low: Extreme | None, high: Extreme | None) -> float | None:
    return None if low is None or high is None else high.value - low.value


def _where(extreme: Extreme | None) -> str | None:
    """ "<battery>:<n>" in 8 characters; the number is never the part that is cut."""
    if extreme is None:
        return None
    name, _, number = extreme.where.rpartition(":")
    return f"{name[: max(0, 7 - len(number))]}:{number}"


def _number(extreme: Extreme | None) -> int | None:
    """Of the cell or sensor in its battery; None where nobody knows which."""
    number = extreme.where.rpartition(":")[2] if extreme else ""
    return int(number) if number.isdecimal() else None


def _pack(extreme: Extreme | None, order: Mapping[str, int]) -> int | None:
    """Of its battery in the configuration, where the cell is known."""
    return None if extreme is None or _number(extreme) is None else order.get(extreme.where.rpartition(":")[0])


def _state(current: float | None, charge: bool, discharge: bool) -> int:
    """What the bank does."""
    amps = current or 0.0
    if abs(amps) < LEAST or not (charge or discharge):
        return STANDBY
    return CHARGING if amps > 0 else DISCHARGING


def _protected(alarms: Mapping[str, int]) -> int:
    return int(2 in [alarms.get(name) for name in ALARM_FLAGS])


def _flag(value: bool | None) -> int | None:
    return None if value is None else int(value)


def _part(of: slice) -> How:
    return lambda serial: serial[of] or None


def _lived(figure: str) -> How:
    def found(life: Life | None) -> float | None:
        value: float | None = getattr(life, figure, None)
        return value

    return found


CHARGE, DISCHARGE = "decision.ccl decision.allow_charge", "decision.dcl decision.allow_discharge"
SOC: Final = "decision.soc bank.soc"
COLD, HOT = "bank.min_temperature", "bank.max_temperature"
LOW, HIGH = "bank.min_cell", "bank.max_cell"
PLACES: Final = {"min_voltage": LOW, "max_voltage": HIGH, "min_temperature": COLD, "max_temperature": HOT}

TABLE: Final = (
    Row("charge_voltage_limit", "decision.cvl", _same),
    Row("charge_current_limit", CHARGE, _limit),
    Row("discharge_current_limit", DISCHARGE, _limit),
    Row("discharge_voltage_limit", "decision.low_voltage", _same),
    Row("charge_enable", CHARGE, _enabled),
    Row("discharge_enable", DISCHARGE, _enabled),
    Row("force_charge_1", f"{CHARGE} decision.force_charge", _asked),  # which an inverter reads is its own affair
    Row("force_charge_2", f"{CHARGE} decision.force_charge", _asked),
    Row("full_charge", f"{CHARGE} decision.full_charge", _asked),
    Row("soc", SOC, _percent),
    Row("soc_high_resolution", SOC, _first),
    Row("soh", "bank.soh", _same),
    Row("voltage", "bank.voltage", _same),
    Row("voltage_0p1V", "bank.voltage", _same),
    Row("current", "bank.current", _same),
    Row("temperature", "bank.temperature", _same),
    Row("available_capacity", "decision.remaining_capacity bank.remaining_capacity", _first),
    Row("capacity_35f", "bank.capacity", _same),
    Row("installed_capacity", "bank.capacity", _same),
    Row("charge_cycles", "bank.charge_cycles", _same),
    Row("min_cell_voltage_mV", LOW, _millivolts),
    Row("max_cell_voltage_mV", HIGH, _millivolts),
    Row("min_cell_temperature", COLD, _value),
    Row("max_cell_temperature", HOT, _value),
    Row("min_cell_temperature_370", COLD, _value),
    Row("max_cell_temperature_370", HOT, _value),
    *(Row(f"{name}_cell_id", of, _where) for name, of in PLACES.items()),
    *(Row(f"{name}_cell_number", of, _number) for name, of in PLACES.items()),
    *(Row(f"{name}_pack_number", f"{of} order", _pack) for name, of in PLACES.items()),
    Row("cell_voltage_difference", f"{LOW} {HIGH}", _spread),
    Row("modules", "modules", _same),
    Row("modules_online", "bank.online", _same),
    Row("modules_offline", "bank.offline", _same),
    Row("modules_blocking_charge", "bank.blocking_charge", _same),
    Row("modules_blocking_discharge", "bank.blocking_discharge", _same),
    Row("faulty_pack_number", "faulty", _same),
    Row("operating_state", "bank.current decision.allow_charge decision.allow_discharge", _state),
    Row("system_state", "bank.current decision.allow_charge decision.allow_discharge", _state),
    Row("protections_valid", "decision.alarms", _protected),
    Row("balancing", "bank.balancing", _flag),
    Row("cell_count", "cell_count", _same),
    *(Row(key, "cells", _same, at) for at, key in enumerate(CELLS)),
    Row("serial_part1", "serial", _part(slice(8))),
    Row("serial_part2", "serial", _part(slice(8, 16))),
    Row("charged_energy_kWh", "life", _lived("charged_energy")),
    Row("discharged_energy_kWh", "life", _lived("discharged_energy")),
)
"""Each value that a dialect may carry."""
