"""A JK with the 4E 57 protocol, from its sheet alone (jk.md): read all, and the three switches."""

from typing import Any, Final

from bms_drivers.sims.pack import Pack

WARNING_BITS: Final = {  # sheet section 6
    "low_soc": 0, "high_internal_temperature": 1, "high_voltage": 2, "low_voltage": 3, "high_temperature": 4,
    "high_charge_current": 5, "high_discharge_current": 6, "cell_imbalance": 7, "low_charge_temperature": 9,
    "high_cell_voltage": 10, "low_cell_voltage": 11, "internal_failure": 12,
}  # fmt: skip


def build(pack: Pack, settings: dict[str, Any]) -> "Jk":
    """The device; it has no settings."""
    return Jk(pack)


def degrees(value: float) -> bytes:
    """0..100 as it is, below zero 100 - value."""
    whole = round(value)
    return (whole if whole >= 0 else 100 - whole).to_bytes(2, "big")


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
            if len(received) < 4 or len(received) < (size := int.from_bytes(received[2:4], "big") + 2):
                return replies
            request = bytes(received[:size])
            if size < 20 or sum(request[:-2]) & 0xFFFF != int.from_bytes(request[-2:], "big"):
                del received[0]
                continue
            del received[:size]
            replies += self._act(request[8], request[11:-9])
        return replies

    def _act(self, command: int, info: bytes) -> list[bytes]:
        if command in (0x03, 0x06):
            return [self._frame(command, self._everything())]
        if command == 0x02 and len(info) >= 2:
            name = {0xAB: "charge_switch", 0xAC: "discharge_switch", 0x9D: "balance_switch"}.get(info[0])
            if name:
                setattr(self.pack, name, bool(info[1]))
                return [self._frame(command, info[:1])]
        return [self._frame(command, b"")] if command == 0x01 else []

    def _frame(self, command: int, info: bytes) -> bytes:
        body = bytes(4) + bytes((command, 0, 1)) + info + b"\x00\x00\x00\x01\x68\x00\x00"
        whole = b"\x4e\x57" + (len(body) + 4).to_bytes(2, "big") + body
        return whole + (sum(whole) & 0xFFFF).to_bytes(2, "big")

    def _everything(self) -> bytes:
        pack = self.pack
        cells = b"".join(bytes((n,)) + round(v * 1000).to_bytes(2, "big") for n, v in enumerate(pack.cells, 1))
        flow = round(abs(pack.flow) * 100) | (0x8000 if pack.flow > 0 else 0)
        warnings = sum(1 << WARNING_BITS[name] for name in pack.alarms if name in WARNING_BITS)
        state = pack.charge_switch | pack.discharge_switch << 1 | pack.balancing << 2
        two = {
            0x80: degrees(pack.mosfet_temperature), 0x81: degrees(pack.temperatures[0]),
            0x82: degrees(pack.temperatures[1]), 0x83: round(pack.voltage * 100).to_bytes(2, "big"),
            0x84: flow.to_bytes(2, "big"), 0x85: bytes((min(100, round(pack.soc)),)), 0x86: b"\x02",
            0x87: pack.cycles.to_bytes(2, "big"), 0x89: bytes(4), 0x8A: len(pack.cells).to_bytes(2, "big"),
            0x8B: warnings.to_bytes(2, "big"), 0x8C: state.to_bytes(2, "big"), 0x90: (3650).to_bytes(2, "big"),
            0x93: (2500).to_bytes(2, "big"), 0x97: (100).to_bytes(2, "big"), 0x99: (80).to_bytes(2, "big"),
            0x9D: bytes((pack.balance_switch,)), 0xAA: round(pack.capacity).to_bytes(4, "big"),
            0xB4: b"Input Us", 0xB5: b"2407", 0xB7: b"11.XW_S11.262H_", 0xBA: b"Input UserdaJK_B1A24S15P",
            0xC0: b"\x01",
        }  # fmt: skip
        return b"\x79" + bytes((len(cells),)) + cells + b"".join(bytes((tag,)) + raw for tag, raw in two.items())
