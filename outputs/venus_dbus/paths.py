"""The table of a service: rows in Victron's manner, and beside them those of the list of published values.  Pure.

Sheet: venus-dbus.md section 4 (paths); limits.md 9.3, 9.4 and chapter 11.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from gateway import VERSION
from gateway.model import Cap, Extreme, Life
from outputs.values import BY_NAME
from outputs.venus_dbus.entry import Entry, amps, down, flag, name, rounded, same
from outputs.venus_dbus.listed import text_of, with_listed
from outputs.venus_dbus.tree import Value, clean, plain
from outputs.view import limitation

RUNNING, STANDBY, ERROR = 9, 14, 10  # /State
ON, OFF, IDLE = 3, 4, 0xFC  # /Mode
BALANCED, BALANCING, UNBALANCED = 1, 2, 3  # /Balancer/Status
OK, HOT, WARM, FAULT, TRIPPED, EMPTY = 0x100, 0x101, 0x102, 0x103, 0x104, 0x105  # /DeviceState
SPECIAL_MAKERS: Final = ("PYLON", "BYD", "LG")


CHARGE: Final = "capacity remaining_capacity soc"


def _consumed(capacity: float | None, remaining: float | None, soc: float | None) -> float | None:
    """Ah below full, <= 0."""
    if capacity is None:
        return None
    if remaining is None:
        remaining = None if soc is None else soc / 100.0 * capacity
    return None if remaining is None else rounded(min(0.0, remaining - capacity), 1)


def _remaining(capacity: float | None, remaining: float | None, soc: float | None) -> float | None:
    consumed = _consumed(capacity, remaining, soc)
    if remaining is not None or consumed is None or capacity is None:
        return rounded(remaining, 1)
    return rounded(capacity + consumed, 1)


def _time_to_go(seconds: int | None) -> int | None:
    return None if seconds is None else max(0, seconds)


def _cvl_per_cell(cvl: float | None, cells: int | None) -> float | None:
    return down(cvl / cells, 3) if cvl is not None and cells else None


MODULES: Final = "online offline blocking_charge blocking_discharge"
FLOW: Final = f"limits.allow_charge limits.allow_discharge {MODULES}"


def _off(online: int, offline: int, blocking_charge: int, blocking_discharge: int) -> bool:
    """Every battery has both its switches off."""
    return 0 < online + offline <= min(blocking_charge, blocking_discharge)


def _idle(charge: bool | None, discharge: bool | None, *modules: int) -> bool:
    """Nothing may flow: by the limits or, where there are none, by the BMS's own switches."""
    return _off(*modules) or (charge is False and discharge is False)


def _mode(charge: bool | None, discharge: bool | None, *modules: int) -> int:
    return OFF if _off(*modules) else IDLE if _idle(charge, discharge, *modules) else ON


def _balancer(balancing: bool | None, alarms: Mapping[str, int]) -> int | None:
    if balancing:
        return BALANCING
    apart = alarms.get("cell_imbalance")
    return None if apart is None or balancing is None else UNBALANCED if apart else BALANCED


def _state(error: int | None, *flow: Any) -> int:
    if error is not None:
        return ERROR
    return STANDBY if _idle(*flow) else RUNNING


def _device_state(alarms: Mapping[str, int], *flow: Any) -> int:
    hot = max(alarms.get("high_temperature", 0), alarms.get("high_charge_temperature", 0))
    if alarms.get("internal_failure", 0) >= 2:
        return FAULT
    if hot:
        return HOT if hot >= 2 else WARM
    if alarms.get("low_voltage", 0) >= 2:
        return EMPTY
    return TRIPPED if _idle(*flow) else OK


def _where(extreme: Extreme | None) -> Value:
    """Its id; invalid when nobody knows it."""
    return None if extreme is None else clean(extreme.where) or None


SHORT_CIRCUIT: Final = ("high_discharge_current", "internal_failure")
"""What a short circuit, which has no path, shows as."""


def _alarm(name: str) -> Callable[[Mapping[str, int]], Value]:
    return lambda alarms: _worse(alarms.get(name), alarms.get("short_circuit"))


def _worse(own: int | None, other: int | None) -> int | None:
    if own is None:
        return other
    return own if other is None else max(own, other)


def _text(text: str | None) -> Value:
    return None if text is None else clean(text)


def _limitation(caps: Sequence[Cap], rules: Sequence[str]) -> Value:
    """Why the limit is no higher."""
    return _text(limitation(caps, rules))


def _manufacturer(maker: str | None) -> Value:
    """The maker, unless its name is one by which Victron treats batteries specially."""
    maker = clean(maker or "")
    return None if not maker or maker.upper().startswith(SPECIAL_MAKERS) else maker


def _cycles(told: int | None, life: Life | None) -> Value:
    """The BMS's count, else ours."""
    if told is not None or life is None or life.charge_cycles is None:
        return told
    return math.floor(life.charge_cycles)


OWN: Final[tuple[Entry, ...]] = (
    Entry("/Mgmt/Connection", "s", plain, "about.connection", lambda way: clean(way) or "unknown", slow=True),
    Entry("/Mgmt/InsecureConnection", "i", plain, "about.insecure", flag, slow=True),
    Entry("/Manufacturer", "s", plain, "about.manufacturer", _manufacturer, slow=True),
    Entry("/Family", "s", plain, "about.family", name, slow=True),
    Entry("/FirmwareVersion", "s", plain, "about.firmware", lambda version: name(version) or VERSION, slow=True),
    Entry("/Dc/0/Current", "d", text_of("current"), "current", amps),
    Entry("/Capacity", "d", text_of("remaining_capacity"), CHARGE, _remaining),
    Entry("/ConsumedAmphours", "d", text_of("remaining_capacity"), CHARGE, _consumed),
    Entry("/TimeToGo", "i", text_of("time_to_go"), "time_to_go", _time_to_go, slow=True),
    Entry("/State", "i", plain, f"error {FLOW}", _state),
    Entry("/Mode", "i", plain, FLOW, _mode),
    Entry("/ErrorCode", "i", plain, "error", same),
    Entry("/DeviceState", "i", plain, f"alarms {FLOW}", _device_state),
    Entry("/ConnectionInformation", "s", plain, "connection_information", _text, slow=True),
    Entry("/Balancer/Status", "i", plain, "balancing alarms", _balancer),
    Entry("/Io/AllowToBalance", "i", plain, "single.balance_allowed", flag),
    Entry("/System/MinVoltageCellId", "s", plain, "min_cell", _where),
    Entry("/System/MaxVoltageCellId", "s", plain, "max_cell", _where),
    Entry("/System/MinTemperatureCellId", "s", plain, "min_temperature", _where),
    Entry("/System/MaxTemperatureCellId", "s", plain, "max_temperature", _where),
    *(Entry(BY_NAME[f"alarm_{alarm}"].dbus[0], "i", plain, "alarms", _alarm(alarm)) for alarm in SHORT_CIRCUIT),
    Entry("/History/ChargeCycles", "i", plain, "charge_cycles life", _cycles, slow=True),
)

TABLE: Final = with_listed(OWN)
"""Rows of every service."""

LIMITS: Final = with_listed(
    (
        Entry("/Info/MaxChargeCellVoltage", "d", text_of("max_cell"), "limits.cvl cell_count", _cvl_per_cell),
        Entry("/Info/ChargeRequest", "i", plain, "charge_request", flag),
        Entry("/Info/ChargeMode", "s", plain, "charge_mode", _text),
        Entry("/Info/ChargeLimitation", "s", plain, "ccl_caps ccl_reason", _limitation, slow=True),
        Entry("/Info/DischargeLimitation", "s", plain, "dcl_caps dcl_reason", _limitation, slow=True),
    ),
    "limits",
)
"""Rows of the service that is the BMS.  The others must not even have them: systemcalc, choosing a battery monitor by
itself, takes a service that has the path of the charge voltage limit for a BMS, whatever its value is."""
