"""An ANT, from its sheet alone (ant.md): as a board with the new protocol, or an old one with 140-byte frames.

settings["generation"]: "new" (default), "old" (answers DB DB) or "old_uart" (answers 5A 5A).
"""

from collections.abc import Callable
from typing import Any, Final

from bms_drivers.sims.pack import Pack

CHARGE_CODES: Final = {  # alarm -> code of the charge switch; sheet section 6
    "high_cell_voltage": 2, "high_charge_current": 3, "high_voltage": 5, "high_charge_temperature": 6,
    "high_internal_temperature": 7, "internal_failure": 8, "bms_cable": 9,
}  # fmt: skip
DISCHARGE_CODES: Final = {
    "low_cell_voltage": 2, "high_discharge_current": 3, "low_voltage": 5, "high_temperature": 6, "short_circuit": 12,
}  # fmt: skip
NEW_CHARGE_CODES: Final = {"low_charge_temperature": 17, "cell_imbalance": 18}
NEW_DISCHARGE_CODES: Final = {"low_temperature": 17}
BY_HAND: Final = 15
ABSENT: Final = -40  # °C of a probe that is not fitted
INFO_AT, INFO_SIZE = 0x026C, 32


def build(pack: Pack, settings: dict[str, Any]) -> "NewAnt | OldAnt":
    """The board of settings["generation"]."""
    generation = settings.get("generation", "new")
    return NewAnt(pack) if generation == "new" else OldAnt(pack, b"\xdb" if generation == "old" else b"\x5a")


def number(value: float, width: int, order: str) -> bytes:
    """A number of `width` bytes, two's complement, kept within its range; `order` "big" or "little"."""
    most = (1 << 8 * width) - 1
    return (max(-(most >> 1), min(most, round(value))) & most).to_bytes(width, order)  # type: ignore[arg-type]


def code(pack: Pack, closed: bool, codes: dict[str, int]) -> int:
    """State of a switch: protecting, off by hand, or on."""
    protecting = [codes[name] for name in pack.alarms if name in codes]
    return min(protecting) if protecting else 1 if closed else BY_HAND


def charge_code(pack: Pack, is_new: bool) -> int:
    """State of the charge switch."""
    return code(pack, pack.charge_switch, {**CHARGE_CODES, **(NEW_CHARGE_CODES if is_new else {})})


def discharge_code(pack: Pack, is_new: bool) -> int:
    """State of the discharge switch."""
    return code(pack, pack.discharge_switch, {**DISCHARGE_CODES, **(NEW_DISCHARGE_CODES if is_new else {})})


def balance_word(pack: Pack) -> int:
    """The highest cell is balanced."""
    return 1 << pack.cells.index(max(pack.cells)) if pack.balancing else 0


class NewAnt:
    """Bytes in, bytes out: 7E A1 function address length data CRC AA 55, little endian."""

    baud = 19200
    turnaround = 0.02  # s

    def __init__(self, pack: Pack) -> None:
        self.pack = pack
        self._settings = self._factory_settings()
        self._commands: dict[int, Callable[[], None]] = {
            0x0001: lambda: setattr(pack, "discharge_switch", False),
            0x0003: lambda: setattr(pack, "discharge_switch", True),
            0x0004: lambda: setattr(pack, "charge_switch", False),
            0x0006: lambda: setattr(pack, "charge_switch", True),
            0x000D: lambda: setattr(pack, "balance_switch", True),
            0x000E: lambda: setattr(pack, "balance_switch", False),
        }

    def answer(self, received: bytearray) -> list[bytes]:
        """Requests begin with 7E A1; the length byte of a read says how much is wanted, no data follows."""
        replies: list[bytes] = []
        while (start := received.find(b"\x7e\xa1")) >= 0:
            del received[:start]
            if len(received) < 10:
                return replies
            carried = received[5] if received[2] in (0x22, 0x23) else 0
            size = 10 + carried
            if len(received) < size:
                return replies
            asked = bytes(received[:size])
            if asked[-2:] != b"\xaa\x55" or self._crc(asked[1:-4]) != asked[-4:-2]:
                del received[0]
                continue
            del received[:size]
            replies += self._act(asked[2], int.from_bytes(asked[3:5], "little"), asked[5], asked[6:-4])
        received.clear()
        return replies

    @staticmethod
    def _crc(data: bytes) -> bytes:
        crc = 0xFFFF
        for byte in data:
            crc ^= byte
            for _ in range(8):
                crc = (crc >> 1) ^ 0xA001 if crc & 1 else crc >> 1
        return crc.to_bytes(2, "little")

    def _frame(self, function: int, address: int, data: bytes, tag: bytes = b"") -> bytes:
        body = b"\xa1" + bytes((function,)) + address.to_bytes(2, "little") + bytes((len(data),)) + data
        tail = tag + self._crc(tag) if tag else b""
        return b"\x7e" + body + self._crc(body) + tail + b"\xaa\x55"

    def _act(self, function: int, address: int, length: int, data: bytes) -> list[bytes]:
        if function == 0x01:
            return [self._frame(0x11, 0, self._status())]
        if function == 0x02:
            return [self._frame(0x12, address, self._read(address, length), b"\xff\x0b\0\0")]
        if function == 0x22:
            self._settings[address : address + len(data)] = data
            return [self._frame(0x42, address, b"\1\0", b"\xff\x0a\0\0")]
        if function == 0x23:
            return [self._frame(0x43, address, b"\1\0")]
        if function == 0x51:
            self._commands.get(address, lambda: None)()
            return [self._frame(0x61, address, b"\1\0")]
        return []

    def _read(self, address: int, length: int) -> bytes:
        if address == INFO_AT:
            return (b"16ZM".ljust(16, b"\0") + b"16ZMUB00-SIM".ljust(16, b"\0"))[: min(length, INFO_SIZE)]
        return bytes(self._settings[address : address + length]).ljust(length, b"\0")

    def _factory_settings(self) -> bytearray:
        image = bytearray(0xC6)
        cells = len(self.pack.cells)
        for at, value in {
            0x00: 3650, 0x02: 3550, 0x04: 3700, 0x06: 3600, 0x08: 36.5 * cells, 0x0A: 35.5 * cells, 0x0C: 2500,
            0x0E: 2800, 0x10: 2400, 0x12: 2700, 0x14: 25 * cells, 0x16: 28 * cells, 0x18: 500, 0x1A: 300, 0x20: 3600,
            0x68: 1000, 0x6A: 10, 0x6C: 1500, 0x6E: 10, 0x70: 2000, 0x72: 500, 0x74: 500, 0x76: 300, 0x8C: 3000,
            0x8E: 3400, 0x90: 10, 0x92: 5, 0x94: 1000, 0x9A: cells, 0x9E: 2300,
        }.items():  # fmt: skip
            image[at : at + 2] = number(value, 2, "little")
        return image

    def _status(self) -> bytes:
        pack = self.pack
        soc = min(pack.soc, 100.0)
        probes = [*pack.temperatures[:2], ABSENT, ABSENT]
        high, low = max(pack.cells), min(pack.cells)
        numbers: list[tuple[float, int]] = [  # from 34 on; value, bytes
            *((volts * 1000, 2) for volts in pack.cells), *((t, 2) for t in probes),
            (pack.mosfet_temperature, 2), (22, 2), (pack.voltage * 100, 2), (-pack.flow * 10, 2), (soc, 2), (100, 2),
            (discharge_code(pack, True), 1), (charge_code(pack, True), 1), (4 if pack.balancing else 0, 1), (0, 1),
            (pack.capacity * 1e6, 4), (pack.capacity * soc * 1e4, 4), (pack.capacity * pack.cycles * 1000, 4),
            (-pack.voltage * pack.flow, 4), (pack.time, 4), (balance_word(pack), 4),
            (high * 1000, 2), (pack.cells.index(high) + 1, 2), (low * 1000, 2), (pack.cells.index(low) + 1, 2),
            ((high - low) * 1000, 2), (pack.voltage / len(pack.cells) * 1000, 2), (0, 2), (128, 2), (122, 2), (15, 2),
            (0xFAF2, 2), (0, 4), (0, 4), (0, 4), (0, 4),
        ]  # fmt: skip
        state = 2 if pack.flow > 0 else 3 if pack.flow < 0 else 1
        head = bytes((5, state, len(probes), len(pack.cells))) + bytes(24)
        return head + b"".join(number(value, width, "little") for value, width in numbers)


class OldAnt:
    """Bytes in, bytes out: six-byte requests, 140-byte answers, big endian; writes are not acknowledged."""

    baud = 19200
    turnaround = 0.02  # s

    def __init__(self, pack: Pack, read: bytes) -> None:
        """`read` is the byte that a read request begins with, twice."""
        self.pack, self._read = pack, read * 2
        self._written: list[tuple[int, int]] = []

    def answer(self, received: bytearray) -> list[bytes]:
        """Function twice, address, value, sum."""
        replies: list[bytes] = []
        while len(received) >= 6:
            asked = bytes(received[:6])
            if asked[:2] not in (self._read, b"\xa5\xa5") or sum(asked[2:5]) & 0xFF != asked[5]:
                del received[0]
                continue
            del received[:6]
            if asked[:2] == self._read and asked[2] == 0:
                replies.append(self._status())
            elif asked[0] == 0xA5:
                self._write(asked[2], int.from_bytes(asked[3:5], "big"))
        return replies

    def _write(self, address: int, value: int) -> None:
        """Kept until it is applied by a write to FF."""
        if address != 0xFF:
            self._written.append((address, value))
            return
        pack = self.pack
        for at, wanted in self._written:
            if at == 0xFA:
                pack.charge_switch = bool(wanted)
            elif at == 0xF9:
                pack.discharge_switch = bool(wanted)
            elif at == 0xFC:
                pack.balance_switch = not pack.balance_switch
        self._written.clear()

    def _status(self) -> bytes:
        pack = self.pack
        soc = min(pack.soc, 100.0)
        high, low = max(pack.cells), min(pack.cells)
        cells = [volts * 1000 for volts in pack.cells] + [0.0] * (32 - len(pack.cells))
        probes = [*pack.temperatures[:2], ABSENT, ABSENT]
        numbers: list[tuple[float, int]] = [  # from 4 on; value, bytes
            (pack.voltage * 10, 2), *((value, 2) for value in cells), (-pack.flow * 10, 4), (soc, 1),
            (pack.capacity * 1e6, 4), (pack.capacity * soc * 1e4, 4), (pack.capacity * pack.cycles * 1000, 4),
            (pack.time, 4), (pack.mosfet_temperature, 2), (22, 2), *((t, 2) for t in probes),
            (charge_code(pack, False), 1), (discharge_code(pack, False), 1), (4 if pack.balancing else 0, 1),
            (1000, 2), (23, 2), (0, 1), (-pack.voltage * pack.flow, 4),
            (pack.cells.index(high) + 1, 1), (high * 1000, 2), (pack.cells.index(low) + 1, 1), (low * 1000, 2),
            (pack.voltage / len(pack.cells) * 1000, 2), (len(pack.cells), 1), (0, 2), (112, 2), (107, 2), (684, 2),
            (balance_word(pack), 4), (0x4001, 2),
        ]  # fmt: skip
        data = b"".join(number(value, width, "big") for value, width in numbers)
        return b"\xaa\x55\xaa\xff" + data + (sum(data) & 0xFFFF).to_bytes(2, "big")
