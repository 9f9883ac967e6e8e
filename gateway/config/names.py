"""Upper-case option names of dbus-serialbattery and where the same thing is set here ("" = no equal)."""

from typing import Final

from gateway.config.options import GATHERED, OPTIONS, RENAMED, RETHOUGHT
from gateway.limits.reference_options import KEYS

BATTERY: Final = {
    "BMS_TYPE": "driver under batteries",
    "BLUETOOTH_BMS": "port (ble:AA:BB:CC:DD:EE:FF) under batteries",
    "CAN_PORT": "port (can0) under batteries",
    "BATTERY_ADDRESSES": "address under batteries",
    "POLL_INTERVAL": "poll_interval under batteries",
    "INVERT_CURRENT_MEASUREMENT": "invert_current under batteries (Daly)",
    "CUSTOM_BATTERY_NAMES": "name under batteries",
    "HELTEC_MODBUS_ADDR": "address under batteries",
    "BATTERY_CELL_DATA_FORMAT": "outputs.venus_dbus.cells",
    "MIDPOINT_ENABLE": "outputs.venus_dbus.midpoint",
    "LINEAR_LIMITATION_ENABLE": "limits.mode",
    **{name: f"limits.by_soc.{'charge' if name.startswith('CC') else 'discharge'}" for name in GATHERED},
}


def _today(name: str) -> str:
    """The newest name of an option."""
    return RENAMED.get(name) or RETHOUGHT.get(name, ("", name))[1]


def _here(name: str) -> str:
    if name in BATTERY:
        return BATTERY[name]
    return f"limits.{KEYS[today]}" if (today := _today(name)) in KEYS else BATTERY.get(today, "")


OLD_NAMES: Final[dict[str, str]] = {name: _here(name) for name in (*OPTIONS, *RENAMED, *RETHOUGHT, *GATHERED)}
