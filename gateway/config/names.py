"""Upper-case option names of dbus-serialbattery and where the same thing is set here ("" = no equal)."""

from typing import Final

OLD_NAMES: Final[dict[str, str]] = {"MAX_CELL_VOLTAGE": "limits.cell_voltage.max"}
