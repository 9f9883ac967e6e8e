"""A Sinowealth board, from its sheet alone (sinowealth.md): registers 01 to 18, no header, CRC-8 over both ways."""

from typing import Any, Final

from bms_drivers.sims.pack import Pack

CELLS: Final = range(3, 11)
ALARM_BITS: Final = {  # sheet section 6
    "bms_cable": 14, "short_circuit": 13, "low_temperature": 11, "low_charge_temperature": 10, "high_temperature": 9,
    "high_charge_temperature": 8, "high_discharge_current": 3, "high_charge_current": 2, "low_voltage": 1,
    "high_voltage": 0,
}  # fmt: skip


def build(pack: Pack, settings: dict[str, Any]) -> "Sinowealth":
    """The board; settings["sensors"] (2) is how many it has."""
    return Sinowealth(pack, settings.get("sensors", 2))


def check(data: bytes) -> int:
    """CRC-8, polynomial 07, bit by bit."""
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc << 1) & 0xFF ^ (0x07 if crc & 0x80 else 0)
    return crc


class Sinowealth:
    """Bytes in, bytes out.  A register may be read with two bytes or four; the number stands first."""

    baud = 9600
    turnaround = 0.01  # s

    def __init__(self, pack: Pack, sensors: int) -> None:
        self.pack, self.sensors = pack, sensors

    def answer(self, received: bytearray) -> list[bytes]:
        """0A | register | bytes wanted."""
        replies: list[bytes] = []
        while len(received) >= 3:
            request = bytes(received[:3])
            if request[0] != 0x0A or not 1 <= request[1] <= 0x18 or request[2] not in (2, 4):
                del received[0]
                continue
            del received[:3]
            data = self._register(request[1])[: request[2]].ljust(request[2], b"\0")
            replies.append(data + bytes((check(request + data),)))
        return replies

    def _register(self, register: int) -> bytes:
        pack = self.pack
        if register <= 10:
            volts = pack.cells[register - 1] if register <= len(pack.cells) else 0.0
            return round(volts * 1000).to_bytes(2, "big")
        soc = min(pack.soc, 100.0)
        small = {
            0x0B: pack.voltage * 1000, 0x0C: self._kelvin(0), 0x0D: self._kelvin(1), 0x0E: 0xFFFF, 0x0F: 0xFFFF,
            0x13: soc, 0x14: pack.cycles, 0x15: self._pack_status(), 0x16: self._battery_status(),
            0x17: len(pack.cells) - 3,
        }  # fmt: skip
        large = {0x10: pack.flow * 1000, 0x11: pack.capacity * 1000, 0x12: pack.capacity * soc * 10}
        if register in large:
            return (round(large[register]) & 0xFFFFFFFF).to_bytes(4, "big")
        return (round(small.get(register, 0)) & 0xFFFF).to_bytes(2, "big")

    def _kelvin(self, number: int) -> float:
        """0.1 K; what is not fitted shows 0.0 °C."""
        return 2731 + (self.pack.temperatures[number] * 10 if number < self.sensors else 0)

    def _pack_status(self) -> int:
        pack = self.pack
        switches = pack.charge_switch | pack.discharge_switch << 1
        return switches | (pack.flow > 0) << 2 | (pack.flow < 0) << 3

    def _battery_status(self) -> int:
        return sum(1 << ALARM_BITS[name] for name in self.pack.alarms if name in ALARM_BITS)
