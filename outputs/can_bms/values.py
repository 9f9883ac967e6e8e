"""Snapshot -> the values that a CAN dialect can carry.

What is not known is left out; the dialect's file says what stands in its bytes (docs/outputs.md).  The SoC says 100
only when it is 100, because some inverters stop charging there, before balancing is done (sheet: section 10).

Limits: a direction that is forbidden has a limit of 0 A and its enable bit cleared, as inverters differ in which they
look at.  The charge voltage limit stays what was decided: at a CVL of 0 some dump the battery, others raise an alarm.

Sheet: can-inverter-protocols.md sections 10, 11 and 14; limits.md sections 4.4 and 8.2.
"""

import math
from collections.abc import Container, Mapping
from typing import Final, TypeGuard

from gateway.model import BankState, Decision, Extreme, Health, Snapshot
from outputs.can_bms.keys import Value

FULL: Final = 99.95  # %, what counts as 100 %

Found = dict[str, Value | None]

# Our alarm -> (flag at level 2, flag at level 1); of several the first that the dialect has.  Sheet: section 11.
_HIGH_VOLTAGE: Final = (("p_over_voltage",), ("a_high_voltage",))
_LOW_VOLTAGE: Final = (("p_under_voltage",), ("a_low_voltage",))
_HOT: Final = (("p_over_temperature",), ("a_high_temperature",))
_INTERNAL: Final = (("p_system_error",), ("a_internal_comm_fail",))
ALARM_FLAGS: Final[Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]]] = {
    "high_voltage": _HIGH_VOLTAGE,
    "high_cell_voltage": _HIGH_VOLTAGE,
    "low_voltage": _LOW_VOLTAGE,
    "low_cell_voltage": _LOW_VOLTAGE,
    "high_temperature": _HOT,
    "high_internal_temperature": _HOT,
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
    "cell_imbalance": (("cell_imbalance_alarm",), ("cell_imbalance_warning",)),
}


def values_of(snapshot: Snapshot, keys: Container[str]) -> dict[str, Value]:
    """What `snapshot` says, for a dialect that has `keys`; what is not known is left out."""
    bank, decision = snapshot.bank, snapshot.decision
    found = {**_limits(decision), **_measurements(bank, decision), **_cells(bank), **_counts(bank)}
    known: dict[str, Value] = {key: value for key, value in found.items() if key in keys and _is_known(value)}
    return {**known, **raised(decision.alarms, keys)}


def safe(values: Mapping[str, Value], keys: Container[str]) -> dict[str, Value]:
    """`values` with both directions closed and the alarms that say why: nobody can vouch for the battery."""
    closed: dict[str, Value] = {
        "charge_current_limit": 0.0, "discharge_current_limit": 0.0, "charge_enable": 0, "discharge_enable": 0,
        "force_charge_1": 0, "force_charge_2": 0, "full_charge": 0, "p_system_error": 1, "a_internal_comm_fail": 1,
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


def _is_known(value: Value | None) -> TypeGuard[Value]:
    """A number that is none is no knowledge either."""
    return value is not None and not (isinstance(value, float) and not math.isfinite(value))


def _limits(decision: Decision) -> Found:
    charge = decision.allow_charge and decision.ccl > 0
    discharge = decision.allow_discharge and decision.dcl > 0
    return {
        "charge_voltage_limit": decision.cvl,
        "charge_current_limit": decision.ccl if decision.allow_charge else 0.0,
        "discharge_current_limit": decision.dcl if decision.allow_discharge else 0.0,
        "discharge_voltage_limit": decision.low_voltage,
        "charge_enable": int(charge),
        "discharge_enable": int(discharge),
        "force_charge_1": int(charge and decision.force_charge),  # which of the two an inverter reads is its own affair
        "force_charge_2": int(charge and decision.force_charge),
        "full_charge": int(charge and decision.full_charge),
    }


def _measurements(bank: BankState, decision: Decision) -> Found:
    soc = decision.soc if decision.soc is not None else bank.soc
    return {
        "soc": None if soc is None or not math.isfinite(soc) else _percent(soc),
        "soh": bank.soh,
        "soc_high_resolution": soc,
        "voltage": bank.voltage,
        "voltage_0p1V": bank.voltage,
        "current": bank.current,
        "temperature": bank.temperature,
        "available_capacity": bank.remaining_capacity
        if decision.remaining_capacity is None
        else decision.remaining_capacity,
        "capacity_35f": bank.capacity,
        "installed_capacity": bank.capacity,
    }


def _percent(soc: float) -> int:
    """Whole percent; 100 only for a full battery."""
    return min(math.floor(soc + 0.5), 100 if soc >= FULL else 99)


def _cells(bank: BankState) -> Found:
    low, high, cold, hot = bank.min_cell, bank.max_cell, bank.min_temperature, bank.max_temperature
    return {
        "min_cell_voltage_mV": _scaled(low, 1000),
        "max_cell_voltage_mV": _scaled(high, 1000),
        "min_cell_temperature": _scaled(cold),
        "max_cell_temperature": _scaled(hot),
        "min_cell_temperature_370": _scaled(cold),
        "max_cell_temperature_370": _scaled(hot),
        "min_voltage_cell_id": _where(low),
        "max_voltage_cell_id": _where(high),
        "min_temperature_cell_id": _where(cold),
        "max_temperature_cell_id": _where(hot),
    }


def _scaled(extreme: Extreme | None, factor: float = 1.0) -> float | None:
    return None if extreme is None else extreme.value * factor


def _where(extreme: Extreme | None) -> str | None:
    """ "<battery>:<n>" in 8 characters; the number is never the part that is cut."""
    if extreme is None:
        return None
    name, _, number = extreme.where.rpartition(":")
    return f"{name[: max(0, 7 - len(number))]}:{number}"


def _counts(bank: BankState) -> Found:
    online = sum(state.contributes and state.health is Health.ONLINE for state in bank.batteries)
    return {
        "modules": max(1, online),
        "modules_online": bank.online,
        "modules_offline": bank.offline,
        "modules_blocking_charge": bank.blocking_charge,
        "modules_blocking_discharge": bank.blocking_discharge,
    }
