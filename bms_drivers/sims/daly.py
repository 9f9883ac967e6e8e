"""A Daly, from its sheet alone (daly.md): 13-byte frames at its board number, FET and SoC writes."""

from collections.abc import Iterator
from typing import Any, Final

from bms_drivers.sims.pack import Pack

LEVEL_2: Final = {  # byte, bit; sheet section 6
    "high_cell_voltage": (0, 1), "low_cell_voltage": (0, 3), "high_voltage": (0, 5), "low_voltage": (0, 7),
    "high_charge_temperature": (1, 1), "low_charge_temperature": (1, 3), "high_temperature": (1, 5),
    "low_temperature": (1, 7), "high_charge_current": (2, 1), "high_discharge_current": (2, 3), "low_soc": (2, 7),
    "cell_imbalance": (3, 1), "high_internal_temperature": (4, 0), "internal_failure": (5, 0), "short_circuit": (6, 2),
}  # fmt: skip

TEXTS: Final = {0x57: ("SIMULATED", 5), 0x62: ("SIM-1.0", 2), 0x63: ("DL-BMS-SIM", 2)}  # id: text, frames; section 5


def build(pack: Pack, settings: dict[str, Any]) -> "Daly":
    """The board with settings["address"] (1)."""
    return Daly(pack, settings.get("address", 1))


def u16(value: float) -> bytes:
    """16 bits, big endian."""
    return max(0, min(65535, round(value))).to_bytes(2, "big")


class Daly:
    """Bytes in, bytes out.  Above 30000 is discharging, as on older boards."""

    baud = 9600
    turnaround = 0.05  # s

    def __init__(self, pack: Pack, board: int) -> None:
        self.pack, self.board = pack, board

    def answer(self, received: bytearray) -> list[bytes]:
        """A5 | host | id | 08 | 8 bytes | sum."""
        replies: list[bytes] = []
        while (start := received.find(0xA5)) >= 0:
            del received[:start]
            if len(received) < 13:
                return replies
            request = bytes(received[:13])
            if sum(request[:12]) & 0xFF != request[12]:
                del received[0]
                continue
            del received[:13]
            if request[1] in (0x80, 0x3F + self.board):
                frames = b"".join(self._frame(request[2], data) for data in self._act(request[2], request[4:12]))
                replies += [frames] if frames else []
        received.clear()
        return replies

    def _frame(self, identifier: int, data: bytes) -> bytes:
        body = bytes((0xA5, self.board, identifier, 8)) + data.ljust(8, b"\0")[:8]
        return body + bytes((sum(body) & 0xFF,))

    def _act(self, identifier: int, data: bytes) -> Iterator[bytes]:
        pack = self.pack
        if identifier in (0xDA, 0xD9):
            setattr(pack, "charge_switch" if identifier == 0xDA else "discharge_switch", bool(data[0]))
            yield data[:1]
        elif identifier == 0x21:
            pack.soc = int.from_bytes(data[6:8], "big") / 10
            yield b"\x01"
        elif identifier in TEXTS:
            yield from self._text(*TEXTS[identifier])
        else:
            yield from self._measured(identifier)

    def _text(self, words: str, frames: int) -> Iterator[bytes]:
        raw = words.encode().ljust(7 * frames)
        for number in range(frames):
            yield bytes((number + 1,)) + raw[7 * number : 7 * number + 7]

    def _measured(self, identifier: int) -> Iterator[bytes]:
        pack = self.pack
        cells = [u16(volts * 1000) for volts in pack.cells]
        sensors = bytes(max(0, min(255, round(t + 40))) for t in pack.temperatures)
        state = 1 if pack.flow > 0 else 2 if pack.flow < 0 else 0
        high, low = pack.cells.index(max(pack.cells)), pack.cells.index(min(pack.cells))
        single = {
            0x90: u16(pack.voltage * 10) + u16(0) + u16(30000 - pack.flow * 10) + u16(min(pack.soc, 100) * 10),
            0x91: cells[high] + bytes((high + 1,)) + cells[low] + bytes((low + 1,)),
            0x92: bytes((max(sensors), 1, min(sensors), len(sensors))),
            0x93: bytes((state, pack.charge_switch, pack.discharge_switch, 7))
            + round(pack.capacity * min(pack.soc, 100) * 10).to_bytes(4, "big"),
            0x94: bytes((len(cells), len(sensors), 0, 0, 0)) + u16(pack.cycles),
            0x97: bytes((1 if pack.balancing else 0,)),
            0x98: self._alarms(),
            0x50: round(pack.capacity * 1000).to_bytes(4, "big") + (3200).to_bytes(4, "big"),
            0x53: bytes((0, 0, 24, 7, 17)),
            0x5A: b"".join(u16(volts * 10 * len(cells)) for volts in (3.6, 3.65, 2.7, 2.5)),
            0x5B: b"".join(u16(30000 + amps * 10) for amps in (-100, -120, 100, 120)),
        }
        if identifier in single:
            yield single[identifier]
        elif identifier == 0x95:
            for number in range(0, len(cells), 3):
                yield bytes((number // 3 + 1,)) + b"".join(cells[number : number + 3])
        elif identifier == 0x96:
            for number in range(0, len(sensors), 7):
                yield bytes((number // 7 + 1,)) + sensors[number : number + 7]

    def _alarms(self) -> bytes:
        raw = bytearray(8)
        for name in self.pack.alarms:
            if name in LEVEL_2:
                byte, bit = LEVEL_2[name]
                raw[byte] |= 1 << bit
        return bytes(raw)
