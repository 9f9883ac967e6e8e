"""A JBD UP16S, from its sheet alone (jbd_up16s.md): one pack on the port itself, with every block of the sheet.

settings: address (1 = the master, whose status tells limits of a bank of two), firmware (12; below it there are no
blocks 0x2006 and 0x2810), linked (True = reached through a master: the status alone).
"""

from collections.abc import Callable
from typing import Any, Final

from bms_drivers.sims.pack import Pack

FAULT_BITS: Final = {  # sheet section 6
    "high_cell_voltage": 0, "low_cell_voltage": 1, "high_voltage": 2, "low_voltage": 3, "high_charge_current": 4,
    "high_discharge_current": 6, "high_charge_temperature": 8, "low_charge_temperature": 9, "high_temperature": 10,
    "low_temperature": 11, "high_internal_temperature": 12, "cell_imbalance": 15, "low_soc": 17, "short_circuit": 18,
    "internal_failure": 26,
}  # fmt: skip
SIGNATURE: Final = b"\x11JBD"
OWN_LIMIT: Final = 1000  # 0.1 A


def build(pack: Pack, settings: dict[str, Any]) -> "Up16s":
    """The pack."""
    return Up16s(pack, settings.get("address", 1), settings.get("firmware", 12), bool(settings.get("linked")))


def word(value: float) -> bytes:
    """16 bits, big endian, kept within their range."""
    return max(0, min(0xFFFF, round(value))).to_bytes(2, "big")


def degrees(value: float) -> bytes:
    """0.1 °C from -50 °C on."""
    return word(value * 10 + 500)


class Up16s:
    """Bytes in, bytes out."""

    baud = 9600
    turnaround = 0.2  # s

    def __init__(self, pack: Pack, address: int, firmware: int, linked: bool) -> None:
        self.pack, self.address, self.firmware, self.linked = pack, address, firmware, linked

    def answer(self, received: bytearray) -> list[bytes]:
        """Address | function | start | end | length | payload | CRC."""
        replies: list[bytes] = []
        while len(received) >= 10:
            length = int.from_bytes(received[6:8], "big")
            if received[1] not in (0x78, 0x79, 0x45) or length > 64:
                del received[0]
                continue
            if len(received) < 10 + length:
                break
            request = bytes(received[: 10 + length])
            if self._crc(request[:-2]) != request[-2:]:
                del received[0]
                continue
            del received[: len(request)]
            payload = self._act(request) if request[0] == self.address else None
            if payload is not None:
                body = request[:6] + word(len(payload)) + payload
                replies.append(body + self._crc(body))
        return replies

    @staticmethod
    def _crc(data: bytes) -> bytes:
        value = 0xFFFF
        for byte in data:
            value ^= byte
            for _ in range(8):
                value = (value >> 1) ^ 0xA001 if value & 1 else value >> 1
        return value.to_bytes(2, "little")

    def _act(self, request: bytes) -> bytes | None:
        """The reply's payload; None = no answer."""
        function, start = request[1], int.from_bytes(request[2:4], "big")
        if self.linked and start != 0x1000:
            return None
        if function == 0x45:
            return self._own()
        if function == 0x79:
            return b"" if self._write(start, request[8:-2]) else None
        blocks: dict[int, Callable[[], bytes]] = {
            0x1000: self._status, 0x1C00: self._identity, 0x1800: self._protection, 0x2000: self._configuration,
            0x2400: lambda: bytes(14), 0x2800: lambda: bytes.fromhex("07ea00060006001100060038"),
            0x2900: lambda: bytes(14),
        }  # fmt: skip
        if self.firmware >= 12:
            blocks |= {0x2006: self._throughput, 0x2810: self._product}
        return blocks[start]() if start in blocks else None

    def _write(self, start: int, payload: bytes) -> bool:
        if payload[:4] != SIGNATURE or len(payload) != 6:
            return False
        value = int.from_bytes(payload[4:], "big")
        if start == 0x2006:
            self.pack.soc = value / 100
        elif start == 0x2902:
            self.pack.discharge_switch, self.pack.charge_switch = bool(value & 1), bool(value & 2)
        return start in (0x2006, 0x2902)

    def _status(self) -> bytes:
        pack, cells = self.pack, self.pack.cells
        soc, state = min(pack.soc, 100.0), 1 if pack.flow > 0 else 2 if pack.flow < 0 else 0
        faults = sum(1 << FAULT_BITS[name] for name in pack.alarms if name in FAULT_BITS)
        volts, is_master = word(pack.voltage * 100), self.address == 1
        limit = OWN_LIMIT * 2 if is_master else OWN_LIMIT
        high, low = cells.index(max(cells)), cells.index(min(cells))
        hot, cold = max(pack.temperatures), min(pack.temperatures)
        head = b"".join((
            volts, bytes(2) if is_master else volts, round(pack.flow * 100 + 300000).to_bytes(4, "big"),
            word(soc * 100 if is_master else round(soc) * 100),
            word(pack.capacity * soc), word(pack.capacity * 100), word(pack.capacity * 100),
            degrees(pack.mosfet_temperature), degrees(22.6), word(state), word(100),
            faults.to_bytes(4, "big"), bytes(4), word(pack.discharge_switch | pack.charge_switch << 1),
            word(4 if is_master else 0), word(pack.cycles),
            word(high + 1), word(cells[high] * 1000), word(low + 1), word(cells[low] * 1000),
            word(sum(cells) / len(cells) * 1000), word(1), degrees(hot), word(2), degrees(cold),
            degrees((hot + cold) / 2), word(36.5 * len(cells)), word(limit), word(28 * len(cells)), word(limit),
        ))  # fmt: skip
        balance = 1 << high if pack.balancing else 0
        tail = b"".join((
            word(len(cells)), *(word(volts * 1000) for volts in cells),
            word(len(pack.temperatures)), *(degrees(t) for t in pack.temperatures),
            word(0), word(balance), word(self.firmware << 8 | 4 if is_master else 2), b"JBD87654321".ljust(30, b"\0"),
            bytes(12 if is_master else 4),
        ))  # fmt: skip
        return head + tail

    def _own(self) -> bytes:
        """116 bytes: sixteen cells at most; limits at 96 and 98, sensors in 0.1 K at the end."""
        pack = self.pack
        cells = [*pack.cells[:16], *[0.0] * (16 - len(pack.cells))]
        front = b"".join((
            word(len(pack.cells)), *(word(volts * 1000) for volts in cells), word(max(pack.cells) * 1000),
            word(min(pack.cells) * 1000), word(pack.voltage * 100),
        ))  # fmt: skip
        kelvin = [word(2731 + t * 10) for t in pack.temperatures]
        return front.ljust(96, b"\0") + word(OWN_LIMIT) * 2 + (word(8) + b"".join(kelvin)).ljust(16, b"\0")

    def _throughput(self) -> bytes:
        """0x2006: SoC, SoH, cycles, charged and discharged."""
        pack = self.pack
        return word(min(pack.soc, 100) * 100) + word(100) + word(pack.cycles) + bytes(12)

    def _identity(self) -> bytes:
        day = word(2025) + word(4) + word(17)
        serial = f"UP16S019{self.pack.serial}".encode().ljust(30, b"\0")
        front = bytes(16) + serial + day + b"JBD87654321".ljust(30, b"\0") + day
        return (front + b"SIM-LFP48100".ljust(30, b"\0")).ljust(134, b"\0")

    def _product(self) -> bytes:
        versions = b"".join(map(word, (33, 3, self.firmware, 1, 7, 36)))
        return (versions + b"UP16S015.16S200A" + b"JBD").ljust(44, b"\0")

    def _protection(self) -> bytes:
        """208 bytes: triples of value, release, delay."""
        triples = ((3600, 3400), (3650, 3400), (2700, 2900), (2500, 3000), (5760, 5440), (5840, 5440))
        return b"".join(word(value) + word(release) + word(3000) for value, release in triples).ljust(208, b"\0")

    def _configuration(self) -> bytes:
        """64 bytes: capacities and counters."""
        pack = self.pack
        return b"".join(map(word, (
            pack.capacity * 100, pack.capacity * 100, pack.capacity * min(pack.soc, 100), min(pack.soc, 100) * 100, 100,
            pack.cycles,
        ))).ljust(64, b"\0")  # fmt: skip
