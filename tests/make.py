"""Readings, states and Snapshots to test with; every argument that is given replaces a plausible default."""

from dataclasses import replace
from typing import Any

from gateway.model import BankState, BatteryState, Decision, Extreme, Health, Reading, Snapshot


def reading(**changes: Any) -> Reading:
    """A healthy 16-cell 280 Ah LFP pack at 60 %, charging with 20 A; another capacity holds as much as its SoC says."""
    usual: dict[str, Any] = {
        "voltage": 53.2, "current": 20.0, "soc": 60.0, "soh": 99.0, "capacity": 280.0, "remaining_capacity": 168.0,
        "charge_cycles": 42, "cell_voltages": tuple(3.320 + 0.001 * (n % 8) for n in range(16)),
        "temperatures": (24.5, 25.5), "mosfet_temperature": 31.0, "balancing": False, "charge_allowed": True,
        "discharge_allowed": True, "alarms": {"high_cell_voltage": 0, "low_soc": 0}, "manufacturer": "ACME",
        "model": "P16", "serial_number": "S-0001", "firmware_version": "1.2",
    }  # fmt: skip
    if capacity := changes.get("capacity"):
        soc = changes.get("soc", usual["soc"])
        usual["remaining_capacity"] = None if soc is None else capacity * soc / 100
    return Reading(**{**usual, **changes})


def battery(name: str = "rack-1", *, of: Reading | None = None, **changes: Any) -> BatteryState:
    """An online battery with a fresh reading."""
    usual: dict[str, Any] = {
        "name": name, "driver": "jbd", "connection": "serial /dev/ttyUSB0", "reading": of or reading(), "age": 0.2,
        "health": Health.ONLINE, "good_in_a_row": 100, "identity": name,
        "controls": ("balance", "charge", "discharge", "soc"),
    }  # fmt: skip
    return BatteryState(**{**usual, **changes})


def bank(*batteries: BatteryState, **changes: Any) -> BankState:
    """A complete bank of one battery (or those given) whose totals are those of one such battery."""
    members = batteries or (battery(),)
    usual: dict[str, Any] = {
        "batteries": members, "complete": True, "health": Health.ONLINE, "age": 0.2, "voltage": 53.2, "current": 20.0,
        "power": 1064.0, "soc": 60.0, "soh": 99.0, "capacity": 280.0, "remaining_capacity": 168.0, "temperature": 25.0,
        "min_cell": Extreme(3.320, f"{members[0].name}:1"), "max_cell": Extreme(3.327, f"{members[0].name}:8"),
        "min_temperature": Extreme(24.5, f"{members[0].name}:1"),
        "max_temperature": Extreme(25.5, f"{members[0].name}:2"),
        "mosfet_temperature": 31.0, "charge_cycles": 42, "balancing": False,
        "alarms": {"high_cell_voltage": 0, "low_soc": 0, "bms_cable": 0}, "online": len(members), "offline": 0,
    }  # fmt: skip
    return BankState(**{**usual, **changes})


def decision(**changes: Any) -> Decision:
    """Bulk charging with the configured limits."""
    usual: dict[str, Any] = {
        "cvl": 55.2, "ccl": 50.0, "dcl": 60.0, "allow_charge": True, "allow_discharge": True, "soc": 60.0,
        "low_voltage": 46.4, "alarms": {"high_cell_voltage": 0, "low_soc": 0, "bms_cable": 0},
    }  # fmt: skip
    return Decision(**{**usual, **changes})


def snapshot(at: float = 0.0, **changes: Any) -> Snapshot:
    """A complete Snapshot taken at `at`, good for 5 s; `bank`, `decision` and the rest may be given."""
    usual: dict[str, Any] = {
        "bank": bank(), "decision": decision(), "at": at, "wall": 1_790_000_000.0 + at, "valid_until": at + 5.0,
    }  # fmt: skip
    return Snapshot(**{**usual, **changes})


def unknown(state: BankState) -> BankState:
    """The same bank with its measurements not known."""
    return replace(state, voltage=None, current=None, power=None, soc=None, temperature=None)
