"""Snapshot -> the values that a dialect towards inverters can carry.

What is not known is left out; the dialect's file says what stands in its bytes (docs/outputs.md).  The SoC says 100
only when it is 100, because some inverters stop charging there, before balancing is done (sheet: section 10).

Limits: a direction that is forbidden has a limit of 0 A and its enable bit cleared, as inverters differ in which they
look at; so has one with a limit below the step in which dialects tell it, which would read 0 A.  The charge voltage
limit stays what was decided: at a CVL of 0 some dump the battery, others raise an alarm.

Sheet: can-inverter-protocols.md sections 10, 11 and 14; limits.md sections 4.4 and 8.2.
"""

import math
from collections.abc import Callable, Container, Mapping
from typing import Final

from gateway.model import BankState, BatteryState, Decision, Extreme, Health, Snapshot
from outputs.inverter.keys import CELLS, Value

FULL: Final = 99.95  # %, what counts as 100 %

STANDBY, CHARGING, DISCHARGING = 1, 2, 3  # Growatt's operating states; sheet: section 7
LEAST: Final = 0.1  # A, the step in which dialects tell currents and limits

Found = dict[str, Value | None]

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


def values_of(snapshot: Snapshot, keys: Container[str]) -> dict[str, Value]:
    """What `snapshot` says, for a dialect that has `keys`; what is not known is left out."""
    bank, decision = snapshot.bank, snapshot.decision
    found = {
        **_limits(decision), **_measurements(bank, decision), **_cells(bank), **_counts(bank), **_state(bank, decision),
    }  # fmt: skip
    for names, part in RARE:
        if True in [name in keys for name in names]:
            found |= part(snapshot)
    known: dict[str, Value] = {
        key: value for key, value in found.items()
        if value is not None and key in keys and not (isinstance(value, float) and not math.isfinite(value))
    }  # fmt: skip
    return {**known, **raised(decision.alarms, keys)}


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


def _limits(decision: Decision) -> Found:
    ccl, dcl = _limit(decision.ccl, decision.allow_charge), _limit(decision.dcl, decision.allow_discharge)
    charge = ccl > 0
    return {
        "charge_voltage_limit": decision.cvl,
        "charge_current_limit": ccl,
        "discharge_current_limit": dcl,
        "discharge_voltage_limit": decision.low_voltage,
        "charge_enable": int(charge),
        "discharge_enable": int(dcl > 0),
        "force_charge_1": int(charge and decision.force_charge),  # which of the two an inverter reads is its own affair
        "force_charge_2": int(charge and decision.force_charge),
        "full_charge": int(charge and decision.full_charge),
    }


def _limit(amps: float, allowed: bool) -> float:
    """A; 0 where it is forbidden, or would read 0."""
    return 0.0 if not allowed or amps < LEAST else amps


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
        "charge_cycles": bank.charge_cycles,
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
        "cell_voltage_difference": None if low is None or high is None else high.value - low.value,
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
    online = sum([state.contributes and state.health is Health.ONLINE for state in bank.batteries])
    return {
        "modules": max(1, online),
        "modules_online": bank.online,
        "modules_offline": bank.offline,
        "modules_blocking_charge": bank.blocking_charge,
        "modules_blocking_discharge": bank.blocking_discharge,
    }


def _places(snapshot: Snapshot) -> Found:
    """Where extremes are, in numbers: the cell or sensor in its battery, and the battery in the configuration."""
    bank = snapshot.bank
    order = {state.name: number for number, state in enumerate(bank.batteries, 1)}
    found: Found = {}
    for name, extreme in (
        ("min_voltage", bank.min_cell), ("max_voltage", bank.max_cell),
        ("min_temperature", bank.min_temperature), ("max_temperature", bank.max_temperature),
    ):  # fmt: skip
        battery, _, number = extreme.where.rpartition(":") if extreme else ("", "", "")
        if number.isdecimal():
            found |= {f"{name}_cell_number": int(number), f"{name}_pack_number": order.get(battery)}
    return found


def _state(bank: BankState, decision: Decision) -> Found:
    """What the bank does, and which battery of it does not."""
    current = bank.current or 0.0
    idle = abs(current) < LEAST or not (decision.allow_charge or decision.allow_discharge)
    state = STANDBY if idle else CHARGING if current > 0 else DISCHARGING
    return {
        "operating_state": state,
        "system_state": state,
        "protections_valid": int(2 in [decision.alarms.get(name) for name in ALARM_FLAGS]),
        "balancing": None if bank.balancing is None else int(bank.balancing),
        "faulty_pack_number": next(iter([n for n, state in enumerate(bank.batteries, 1) if _is_faulty(state)]), None),
    }


def _is_faulty(state: BatteryState) -> bool:
    """It counts for the bank, and raises an alarm or is silent."""
    alarms = state.reading.alarms if state.reading is not None else {}
    return state.control and (state.health in (Health.STALE, Health.LOST) or 2 in alarms.values())


def _of_one(snapshot: Snapshot) -> Found:
    """What only a single battery has: each of its cells, none of which may be unknown, and its serial number."""
    bank = snapshot.bank
    there = [state for state in bank.batteries if state.contributes and state.health is not Health.LOST]
    readings = [state.reading for state in there if state.reading is not None]
    counts = [reading.cells for reading in readings]
    found: Found = {"cell_count": None if None in counts else sum([count or 0 for count in counts]) or None}
    if len(readings) == 1 == len(bank.batteries):
        cells, serial = readings[0].cell_voltages, readings[0].serial_number or ""
        if len(cells) <= len(CELLS) and None not in cells:
            found |= dict(zip(CELLS, cells, strict=False))
        found |= {"serial_part1": serial[:8] or None, "serial_part2": serial[8:16] or None}
    return found


def _energy(snapshot: Snapshot) -> Found:
    life = snapshot.life
    if life is None:
        return {}
    return {"charged_energy_kWh": life.charged_energy, "discharged_energy_kWh": life.discharged_energy}


RARE: Final[tuple[tuple[tuple[str, ...], Callable[[Snapshot], Found]], ...]] = (
    (tuple([f"{which}_{what}" for which in ("min_voltage", "max_voltage", "min_temperature", "max_temperature")
           for what in ("cell_number", "pack_number")]), _places),
    ((*CELLS, "cell_count", "serial_part1", "serial_part2"), _of_one),
    (("charged_energy_kWh", "discharged_energy_kWh"), _energy),
)  # fmt: skip
"""What few dialects carry: worked out for those alone."""
