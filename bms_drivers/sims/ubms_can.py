"""A Valence U-BMS with one module.  Written from the sheet (ubms_can.md sections 3, 6)."""

from collections.abc import Mapping
from typing import Any, Final

from bms_drivers.kit.declare import CanId
from bms_drivers.sims.can_bus import OnCan, Sent
from bms_drivers.sims.pack import Pack

CELLS: Final = range(4, 5)
KEEP_ALIVE: Final = 0x440


def big(volts: float) -> bytes:
    """mV of a cell."""
    return round(volts * 1000).to_bytes(2, "big")


class UbmsCan(OnCan):
    """In drive mode until told otherwise."""

    def __init__(self, pack: Pack) -> None:
        super().__init__(pack)
        self.mode = 2

    def asked(self, wanted: CanId, data: bytes) -> list[Sent]:
        """The keep-alive sets the mode."""
        if wanted.id == KEEP_ALIVE and len(data) == 4:
            self.mode = data[1]
        return []

    def frames(self) -> list[Sent]:
        """All that one module gives."""
        pack, alarms = self.pack, self.pack.alarms
        hot = bytes((round(max(pack.temperatures)) + 40, round(min(pack.temperatures)) + 40, 64))
        limits = pack.voltage, pack.flow
        volts = bytes((2 * ("high_temperature" in alarms) << 1 | ("low_cell_voltage" in alarms) << 4
                       | ("high_cell_voltage" in alarms) << 5,))  # fmt: skip
        amps = bytes((2 * ("high_discharge_current" in alarms),))
        closed = 0 if pack.charge_switch and pack.discharge_switch else 1
        extremes = b"".join(round(v * 1000).to_bytes(2, "little") for v in (max(pack.cells), min(pack.cells)))
        return [
            Sent(0x0C0, bytes((round(pack.soc), self.mode | pack.balancing << 4)) + volts + b"\0" + amps
                 + bytes((1, 0, closed)), every=0.57),
            Sent(0x0C1, bytes((round(limits[0]), round(limits[1]) & 0xFF, 0x80)) + (1447).to_bytes(2, "little")
                 + bytes((0xB6, 0x0E, 4)), every=0.57),
            Sent(0x0C4, hot + bytes((round(pack.mosfet_temperature) + 40,)) + extremes, every=0.57),
            Sent(0x350, b"\x01\x00" + b"".join(map(big, pack.cells[:3])), every=1.7),
            Sent(0x351, b"\x01\x00" + big(pack.cells[3]), every=1.7),
            Sent(0x26A, b"\x01" + b"\x3f" * 7, every=3.4),
            Sent(0x180, bytes.fromhex("9c0a260122434f33"), every=3.1),
        ]  # fmt: skip


def build(pack: Pack, settings: Mapping[str, Any]) -> UbmsCan:
    """One master with one module."""
    return UbmsCan(pack)
