"""An EG4 LiFePower, from its sheet alone (eg4_lifepower.md): general data, firmware text, bar code."""

from typing import Any, Final

from bms_drivers.sims.pack import Pack

CELLS: Final = range(4, 25)
STATUS_BITS: Final = {  # alarm -> (byte of the ten, bit); sheet section 6
    "internal_failure": (0, 5), "high_temperature": (2, 0), "low_temperature": (2, 1), "short_circuit": (3, 2),
    "high_charge_current": (3, 3), "high_discharge_current": (3, 3), "high_voltage": (3, 4), "low_voltage": (3, 5),
    "high_charge_temperature": (3, 6), "low_charge_temperature": (3, 7), "low_soc": (4, 4),
    "high_internal_temperature": (5, 5), "cell_imbalance": (8, 4), "high_cell_voltage": (9, 0),
    "low_cell_voltage": (9, 1),
}  # fmt: skip


def build(pack: Pack, settings: dict[str, Any]) -> "LifePower":
    """The pack at settings["address"] (1), with the first byte settings["start_byte"] (7E)."""
    return LifePower(pack, settings.get("address", 1), settings.get("start_byte", 0x7E))


class LifePower:
    """Bytes in, bytes out."""

    baud = 9600
    turnaround = 0.13  # s

    def __init__(self, pack: Pack, address: int, start: int) -> None:
        self.pack, self.address, self.start = pack, address, start

    def answer(self, received: bytearray) -> list[bytes]:
        """Start | address | command | length | payload | check | 0D."""
        replies: list[bytes] = []
        while len(received) >= 6:
            size = received[3] + 6
            if received[0] != self.start or received[3] > 32:
                del received[0]
                continue
            if len(received) < size:
                return replies
            request = bytes(received[:size])
            if request[-1] != 0x0D or request[-2] != self._check(request[:-2]):
                del received[0]
                continue
            del received[:size]
            if request[1] == self.address:
                replies.append(self._frame(request[2], self._payload(request[2])))
        return replies

    @staticmethod
    def _check(body: bytes) -> int:
        xor = 0
        for byte in body:
            xor ^= byte
        return (sum(body) & 0xFF) ^ xor

    def _frame(self, command: int, payload: bytes) -> bytes:
        body = bytes((self.start, self.address, command, len(payload))) + payload
        return body + bytes((self._check(body), 0x0D))

    def _payload(self, command: int) -> bytes:
        if command == 0x01:
            return self._general()
        if command == 0x33:
            return b"QT-YS00-16SV100A-SIM".ljust(22)
        return bytes(range(0x80, 0x8F)) if command == 0x42 else b"\x04"  # one byte: an error code

    def _general(self) -> bytes:
        pack = self.pack
        soc = min(pack.soc, 100.0)
        sensors = [round(t) + 50 for t in (pack.temperatures * 2)[:4]]
        full = [0x4000 if volts > 3.55 else 0 for volts in pack.cells]  # a flag near full charge
        return b"".join((
            self._group(1, *(round(volts * 1000) | flag for volts, flag in zip(pack.cells, full, strict=True))),
            self._group(2, 30000 - pack.flow * 100),
            self._group(3, soc * 100),
            self._group(4, pack.capacity * 100),
            self._group(5, *sensors, 0x8000 | round(pack.mosfet_temperature) + 50, 0x2000 | 72),
            self._group(6, *self._status()),
            self._group(7, pack.cycles),
            self._group(8, pack.voltage * 100),
            self._group(9, 10000),
            self._group(10, 0),
        ))  # fmt: skip

    @staticmethod
    def _group(number: int, *elements: float) -> bytes:
        raw = (max(0, min(0xFFFF, round(element))).to_bytes(2, "big") for element in elements)
        return bytes((number, len(elements))) + b"".join(raw)

    def _status(self) -> list[int]:
        """Five words: states and alarms."""
        pack, raw = self.pack, bytearray(10)
        raw[3] = 1 if pack.flow > 0 else 2 if pack.flow < 0 else 0
        for name in pack.alarms:
            if name in STATUS_BITS:
                byte, bit = STATUS_BITS[name]
                raw[byte] |= 1 << bit
        return [int.from_bytes(raw[at : at + 2], "big") for at in range(0, 10, 2)]
