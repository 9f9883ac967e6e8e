"""The master of JBD UP16S packs in the Victron profile.  Written from the sheet (jbd_can.md section 5)."""

from collections.abc import Mapping
from typing import Any, Final

from bms_drivers.sims.can_bus import OnCan, Sent
from bms_drivers.sims.pack import Pack

ALARMS: Final = {  # alarm: (byte, bit)
    "high_cell_voltage": (0, 2), "low_cell_voltage": (0, 4), "high_temperature": (0, 6), "low_temperature": (1, 0),
    "high_charge_temperature": (1, 2), "low_charge_temperature": (1, 4), "high_discharge_current": (1, 6),
    "high_charge_current": (2, 0), "short_circuit": (2, 4), "internal_failure": (2, 6), "cell_imbalance": (3, 0),
}  # fmt: skip
KELVIN: Final = 273


def words(*values: float) -> bytes:
    """16 bits each, little endian, negative ones in two's complement."""
    return b"".join((round(value) & 0xFFFF).to_bytes(2, "little") for value in values)


class JbdCan(OnCan):
    """Sends everything once a second."""

    def frames(self) -> list[Sent]:
        """The whole set."""
        pack = self.pack
        count, soc = len(pack.cells), pack.soc
        cells, degrees = [v * 1000 for v in pack.cells], [t + KELVIN for t in pack.temperatures]
        alarms = bytearray(8)
        for name in pack.alarms & ALARMS.keys():
            byte, bit = ALARMS[name]
            alarms[byte] |= 1 << bit
        allowed = [1000 * pack.charge_switch, 1000 * pack.discharge_switch]
        found = {
            0x351: words(36 * count, *allowed, 27 * count),
            0x355: words(soc, 100, soc * 100, 0),
            0x356: words(pack.voltage * 100, pack.flow * 10, pack.temperatures[0] * 10, pack.cycles),
            0x35A: bytes(alarms), 0x35E: b"JBD\0\0\0\0\0", 0x35F: words(0, 0x0C04, 0, 0), 0x370: b"UP16S015",
            0x371: bytes(8), 0x373: words(min(cells), max(cells), min(degrees), max(degrees)),
            0x379: words(pack.capacity, 0, 0, 0), 0x380: b"JBD87654", 0x381: b"321\0\0\0\0\0",
        }  # fmt: skip
        return [Sent(identifier, data) for identifier, data in found.items()]


def build(pack: Pack, settings: Mapping[str, Any]) -> JbdCan:
    """One master."""
    return JbdCan(pack)
