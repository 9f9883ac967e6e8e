"""A JK with the 4E 57 protocol, from its sheet alone (jk.md): every tag that a board of firmware 11 sends, in its order
and width, so that a reader with fixed offsets finds them where they are; the three switches.
"""

from typing import Any, Final

from bms_drivers.sims.pack import Pack

WARNING_BITS: Final = {  # sheet section 6
    "low_soc": 0, "high_internal_temperature": 1, "high_voltage": 2, "low_voltage": 3, "high_temperature": 4,
    "high_charge_current": 5, "high_discharge_current": 6, "cell_imbalance": 7, "low_charge_temperature": 9,
    "high_cell_voltage": 10, "low_cell_voltage": 11, "internal_failure": 12,
}  # fmt: skip

LONGEST: Final = 64  # bytes of a request; the longest write is far shorter


def build(pack: Pack, settings: dict[str, Any]) -> "Jk":
    """The device; it has no settings."""
    return Jk(pack)


def degrees(value: float) -> bytes:
    """0..100 as it is, below zero 100 - value."""
    whole = round(value)
    return (whole if whole >= 0 else 100 - whole).to_bytes(2, "big")


def two(value: float) -> bytes:
    """Unsigned, big endian."""
    return round(value).to_bytes(2, "big")


def signed(value: float) -> bytes:
    """Two's complement, big endian."""
    return round(value).to_bytes(2, "big", signed=True)


class Jk:
    """Bytes in, bytes out."""

    baud = 115200
    turnaround = 0.06  # s

    def __init__(self, pack: Pack) -> None:
        self.pack = pack

    def answer(self, received: bytearray) -> list[bytes]:
        """4E 57, length, ..., sum of all before it."""
        replies: list[bytes] = []
        while (start := received.find(b"\x4e\x57")) >= 0:
            del received[:start]
            if len(received) < 4:
                return replies
            size = int.from_bytes(received[2:4], "big") + 2
            if 20 <= size <= LONGEST and len(received) < size:
                return replies
            request = bytes(received[:size])
            sound = 20 <= size <= LONGEST and request[-5] == 0x68
            if not sound or sum(request[:-2]) & 0xFFFF != int.from_bytes(request[-2:], "big"):
                del received[0]
                continue
            del received[:size]
            replies += self._act(request[8], request[11:-9])
        return replies

    def _act(self, command: int, info: bytes) -> list[bytes]:
        if command == 0x06 or (command == 0x03 and info[:1] in (b"", b"\0")):
            return [self._frame(command, self._cells() + self._list())]
        if command == 0x03:
            tag = info[0]
            one = self._cells() if tag == 0x79 else bytes((tag,)) + self._tags()[tag] if tag in self._tags() else b""
            return [self._frame(command, one)] if one else []
        if command == 0x02 and len(info) >= 2:
            name = {0xAB: "charge_switch", 0xAC: "discharge_switch", 0x9D: "balance_switch"}.get(info[0])
            if name:
                setattr(self.pack, name, bool(info[1]))
                return [self._frame(command, info[:1])]
        return [self._frame(command, b"")] if command in (0x01, 0x05) else []  # activate, password

    def _frame(self, command: int, info: bytes) -> bytes:
        body = bytes(4) + bytes((command, 0, 1)) + info + b"\x00\x00\x00\x01\x68\x00\x00"
        whole = b"\x4e\x57" + (len(body) + 4).to_bytes(2, "big") + body
        return whole + (sum(whole) & 0xFFFF).to_bytes(2, "big")

    def _cells(self) -> bytes:
        cells = b"".join(bytes((n,)) + two(v * 1000) for n, v in enumerate(self.pack.cells, 1))
        return b"\x79" + bytes((len(cells),)) + cells

    def _list(self) -> bytes:
        return b"".join(bytes((tag,)) + raw for tag, raw in self._tags().items())

    def _tags(self) -> dict[int, bytes]:
        """All tags behind the cells, in the order of the sheet's section 5: 195 bytes."""
        pack, count = self.pack, len(self.pack.cells)
        flow = round(abs(pack.flow) * 100) | (0x8000 if pack.flow > 0 else 0)
        warnings = sum(1 << WARNING_BITS[name] for name in pack.alarms if name in WARNING_BITS)
        state = pack.charge_switch | pack.discharge_switch << 1 | pack.balancing << 2
        return {
            0x80: degrees(pack.mosfet_temperature), 0x81: degrees(pack.temperatures[0]),
            0x82: degrees(pack.temperatures[1]), 0x83: two(pack.voltage * 100), 0x84: two(flow),
            0x85: bytes((min(100, round(pack.soc)),)), 0x86: b"\x02", 0x87: two(pack.cycles), 0x89: bytes(4),
            0x8A: two(count), 0x8B: two(warnings), 0x8C: two(state), 0x8E: two(365 * count), 0x8F: two(250 * count),
            0x90: two(3650), 0x91: two(3550), 0x92: two(5), 0x93: two(2500), 0x94: two(2650), 0x95: two(5),
            0x96: two(300), 0x97: two(100), 0x98: two(300), 0x99: two(80), 0x9A: two(30), 0x9B: two(3400),
            0x9C: two(10), 0x9D: bytes((pack.balance_switch,)), 0x9E: two(100), 0x9F: two(80), 0xA0: two(70),
            0xA1: two(60), 0xA2: two(20), 0xA3: two(70), 0xA4: two(70), 0xA5: signed(-5), 0xA6: signed(0),
            0xA7: signed(-20), 0xA8: signed(-10), 0xA9: bytes((count,)), 0xAA: round(pack.capacity).to_bytes(4, "big"),
            0xAB: bytes((pack.charge_switch,)), 0xAC: bytes((pack.discharge_switch,)), 0xAD: two(1000), 0xAE: b"\x01",
            0xAF: b"\x00", 0xB0: two(10), 0xB1: b"\x14", 0xB2: b"123456".ljust(10, b"\0"), 0xB3: b"\x00",
            0xB4: b"Input Us", 0xB5: b"2407", 0xB6: bytes(4), 0xB7: b"11.XW_S11.262H_", 0xB8: b"\x00", 0xB9: bytes(4),
            0xBA: b"Input UserdaJK_B1A24S15P", 0xC0: b"\x01",
        }  # fmt: skip
