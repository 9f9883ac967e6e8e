"""A JBD, from its sheet alone (jbd.md): readings, every parameter that has a meaning there, switches, factory mode."""

from typing import Any, Final

from bms_drivers.sims.pack import Pack

ALARM_BITS: Final = {  # sheet section 6
    "high_cell_voltage": 0, "low_cell_voltage": 1, "high_voltage": 2, "low_voltage": 3, "high_charge_temperature": 4,
    "low_charge_temperature": 5, "high_temperature": 6, "low_temperature": 7, "high_charge_current": 8,
    "high_discharge_current": 9, "short_circuit": 10, "internal_failure": 11,
}  # fmt: skip

TEXTS: Final = {0xA0: b"SIM", 0xA1: b"SP16S100A", 0xA2: b"SIM0004711"}  # maker, model, barcode: length byte first
MADE: Final = (24 << 9) | (5 << 5) | 17  # 2024-05-17


def build(pack: Pack, settings: dict[str, Any]) -> "Jbd":
    """The device; it has no settings."""
    return Jbd(pack)


def word(value: float, scale: float = 1.0) -> bytes:
    """A 16-bit number, big endian, kept within its range."""
    return (max(-32768, min(65535, round(value / scale))) & 0xFFFF).to_bytes(2, "big")


def signed(value: float, scale: float = 1.0) -> bytes:
    """A signed 16-bit number; too large a charge current must not turn into a discharge current."""
    return word(min(value, 32767 * scale), scale)


class Jbd:
    """Bytes in, bytes out."""

    baud = 9600
    turnaround = 0.03  # s

    def __init__(self, pack: Pack) -> None:
        self.pack = pack
        self.factory = False
        self.functions = 0x0006

    def answer(self, received: bytearray) -> list[bytes]:
        """DD | A5 or 5A | register | length | data | sum | 77."""
        replies: list[bytes] = []
        while (start := received.find(0xDD)) >= 0:
            del received[:start]
            if len(received) > 1 and received[1] not in (0xA5, 0x5A):
                del received[0]  # a 0xDD inside noise must not swallow the request behind it
                continue
            if len(received) < 4 or len(received) < 7 + received[3]:
                return replies
            size = 7 + received[3]
            request = bytes(received[:size])
            body = request[2:-3]
            if request[-1] != 0x77 or (sum(body) + int.from_bytes(request[-3:-1], "big")) & 0xFFFF:
                del received[0]
                continue
            del received[:size]
            status, data = self._act(request[1] == 0x5A, request[2], request[4:-3])
            replies.append(self._reply(request[2], status, data))
        received.clear()
        return replies

    def _reply(self, register: int, status: int, data: bytes) -> bytes:
        tail = (0x10000 - sum((status, len(data), *data)) & 0xFFFF).to_bytes(2, "big")
        return bytes((0xDD, register, status, len(data))) + data + tail + b"\x77"

    def _act(self, write: bool, register: int, data: bytes) -> tuple[int, bytes]:
        if write:
            return self._write(register, data), b""
        if register == 0x05:
            return 0, b"SIM-SP16S100A"
        if register in (0x03, 0x04):
            return 0, self._basic() if register == 0x03 else self._cells()
        if register in TEXTS:
            return 0, bytes((len(TEXTS[register]),)) + TEXTS[register]
        if register == 0xAA:
            return 0, bytes(24)  # twelve counters
        settings = self._settings()
        return (0, word(settings[register])) if register in settings else (0x80, b"")

    def _settings(self) -> dict[int, float]:
        """The parameter registers 0x10 .. 0x46 as they are on the wire; sheet section 5."""
        pack, count = self.pack, len(self.pack.cells)
        capacity, rest = pack.capacity * 100, (3450, 3370, 3320, 3300, 3280, 3250, 3220, 3150, 3050)
        percent = (0x42, 0x32, 0x43, 0x33, 0x44, 0x34, 0x45, 0x35, 0x46)  # at 90, 80, ... 10 %
        kelvin = {0x18: 65, 0x19: 55, 0x1A: 0, 0x1B: 5, 0x1C: 65, 0x1D: 55, 0x1E: -20, 0x1F: -10}
        return {
            0x10: capacity, 0x11: capacity, 0x12: 3500, 0x13: 2700, 0x14: 1, 0x15: MADE, 0x16: 4711, 0x17: pack.cycles,
            **{register: 2731 + 10 * celsius for register, celsius in kelvin.items()},
            0x20: 365 * count, 0x21: 355 * count, 0x22: 250 * count, 0x23: 270 * count, 0x24: 3650, 0x25: 3550,
            0x26: 2500, 0x27: 2700, 0x28: 12000, 0x29: -15000, 0x2A: 3400, 0x2B: 15, 0x2C: 10, 0x2D: self.functions,
            0x2E: 7, 0x2F: count, **dict(zip(percent, rest, strict=True)),
        }  # fmt: skip

    def _write(self, register: int, data: bytes) -> int:
        if register == 0x0A:
            return self._order(data)
        if register == 0x00:
            self.factory = data == b"\x56\x78"
            return 0 if self.factory else 0x81
        if register == 0x01:
            self.factory = False
            return 0
        if register in (0xE1, 0x2D, 0xE0) and len(data) != 2:
            return 0x80
        if register == 0xE1:
            self.pack.charge_switch, self.pack.discharge_switch = not data[1] & 1, not data[1] & 2
            return 0
        if not self.factory:
            return 0x81
        if register == 0x2D:
            self.functions = int.from_bytes(data, "big")
            self.pack.balance_switch = bool(self.functions & 4)
            return 0
        if register == 0xE0:
            self.pack.soc = int.from_bytes(data, "big") / 100 / self.pack.capacity * 100
            return 0
        return 0x80

    def _order(self, data: bytes) -> int:
        """Newer firmware: 01 00 = this is 100 %; sheet section 7."""
        if data == b"\x01\x00":
            self.pack.soc = 100.0
        return 0 if data in (b"\x01\x00", b"\x04\x00", b"\x07\x00") else 0x80

    def _basic(self) -> bytes:
        pack = self.pack
        locked = 0 if pack.charge_switch and pack.discharge_switch else 1 << 12
        alarms = sum(1 << ALARM_BITS[name] for name in pack.alarms if name in ALARM_BITS) | locked
        balance = 1 if pack.balancing else 0
        sensors = [pack.mosfet_temperature, *pack.temperatures]
        return b"".join(
            (
                word(pack.voltage, 0.01), signed(pack.flow, 0.01), word(pack.capacity * min(pack.soc, 100) / 100, 0.01),
                word(pack.capacity, 0.01), word(pack.cycles), word(MADE), word(balance), word(0),
                word(alarms), bytes((0x25, round(min(pack.soc, 100)), pack.charge_switch | pack.discharge_switch << 1)),
                bytes((len(pack.cells), len(sensors))), *(word(2731 + t * 10) for t in sensors),
            )
        )  # fmt: skip

    def _cells(self) -> bytes:
        return b"".join(word(volts, 0.001) for volts in self.pack.cells)
