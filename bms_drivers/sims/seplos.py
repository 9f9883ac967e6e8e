"""A Seplos 1101 board, from its sheet alone (seplos.md): telemetry, state, settings, maker; switching is refused."""

from collections.abc import Callable
from typing import Any, Final

from bms_drivers.sims.hex_text import ERRORS, HexText, signed, word
from bms_drivers.sims.pack import Pack

EVENTS: Final = {  # byte of the 20-byte block, bit; sheet section 6
    "high_cell_voltage": (1, 1), "low_cell_voltage": (1, 3), "high_voltage": (1, 5), "low_voltage": (1, 7),
    "high_charge_temperature": (2, 1), "low_charge_temperature": (2, 3), "high_temperature": (2, 5),
    "low_temperature": (2, 7), "high_internal_temperature": (3, 4), "high_charge_current": (4, 1),
    "high_discharge_current": (4, 3), "short_circuit": (4, 5), "low_soc": (5, 3), "internal_failure": (0, 1),
}  # fmt: skip
WORDS: Final = (  # settings as one board had them; the last two are filled in
    3500, 3380, 2900, 3000, 3650, 3400, 2600, 2900, 3350, 1500, 5600, 5400, 4640, 4800, 5760, 5440, 4160, 4640, 5800,
    5600, 3231, 3201, 2781, 2801, 3281, 3231, 2731, 2781, 3281, 3231, 2581, 2631, 3331, 3281, 2531, 2581, 2731, 2831,
    3281, 3231, 2631, 2681, 3331, 3281, 2581, 2631, 3631, 3481, 3681, 3531, 10500, 10000, -10500, -10000, 11000,
    -11000, -30000, 1500,
)  # fmt: skip


def build(pack: Pack, settings: dict[str, Any]) -> "Seplos":
    """The board at settings["address"] (0); "bare": it wants requests without pack number."""
    return Seplos(pack, settings.get("address", 0), bool(settings.get("bare")))


def degrees(value: float) -> bytes:
    """0.1 K."""
    return word(value * 10 + 2731)


class Seplos(HexText):
    """Bytes in, bytes out."""

    baud = 19200
    turnaround = 0.05  # s

    def __init__(self, pack: Pack, address: int, bare: bool = False) -> None:
        self.pack, self.address, self.bare = pack, address, bare

    def act(self, cid1: int, command: int, info: bytes) -> tuple[int, bytes] | None:
        """CID1 46; the pack number in INFO is not looked at."""
        if cid1 != 0x46:
            return 0xE1, b""
        if command in (0x42, 0x44):
            if len(info) != (0 if self.bare else 1):
                return (ERRORS["length"] if self.bare else ERRORS["format"]), b""
            return 0, self._telemetry() if command == 0x42 else self._state()
        plain: dict[int, Callable[[], bytes]] = {
            0x47: self._settings, 0x51: self._maker, 0x4F: lambda: b"",
            0x4D: lambda: bytes.fromhex("07E80711101E00"), 0xA4: lambda: self.pack.serial.encode().ljust(20),
        }  # fmt: skip
        if command in plain:
            return (ERRORS["format"], b"") if info else (0, plain[command]())
        return (7, b"") if command == 0x4B else (ERRORS["command"], b"")  # no history; 45 is refused (section 7)

    def _sensors(self) -> list[bytes]:
        """Four of the cells, the surroundings, the power stage."""
        pack = self.pack
        cells = [*pack.temperatures, *pack.temperatures][:4]
        return [degrees(t) for t in (*cells, 25.0, pack.mosfet_temperature)]

    def _telemetry(self) -> bytes:
        pack, sensors = self.pack, self._sensors()
        soc = min(pack.soc, 100.0)
        return b"".join(
            (
                b"\0", bytes((self.address, len(pack.cells))), *(word(volts, 0.001) for volts in pack.cells),
                bytes((len(sensors),)), *sensors, signed(pack.flow, 0.01), word(pack.voltage, 0.01),
                word(pack.capacity * soc / 100, 0.01), b"\x0a", word(pack.capacity, 0.01), word(soc, 0.1),
                word(pack.capacity, 0.01), word(pack.cycles), word(1000), word(pack.voltage, 0.01), bytes(8),
            )
        )  # fmt: skip

    def _state(self) -> bytes:
        pack, sensors = self.pack, self._sensors()
        moving = 1 if pack.flow < 0 else 2 if pack.flow > 0 else 16
        block = bytearray(20)
        for name in pack.alarms & EVENTS.keys():
            byte, bit = EVENTS[name]
            block[byte] |= 1 << bit
        block[6] = pack.discharge_switch | pack.charge_switch << 1
        block[7] = 1 if pack.balancing else 0
        block[9] = block[19] = moving
        high = 2 if "high_cell_voltage" in pack.alarms else 0
        cells = bytes((high,)) * len(pack.cells)
        return b"".join(
            (
                b"\0", bytes((self.address, len(cells))), cells, bytes((len(sensors),)), bytes(len(sensors)), bytes(2),
                bytes((len(block),)), block,
            )
        )  # fmt: skip

    def _settings(self) -> bytes:
        capacity = self.pack.capacity * 100
        words = (*WORDS, capacity, capacity * min(self.pack.soc, 100) / 100)
        numbers = bytes((self.address, len(words))) + b"".join(word(value) for value in words)
        return numbers + b"\x1b" + bytes(27) + b"\x08" + b"\xff" * 8 + b"1101-SIM  "

    def _maker(self) -> bytes:
        return b"1101-SIM  " + bytes((2, 7)) + b"CANProtocol:SIM".ljust(20)
