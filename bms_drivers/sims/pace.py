"""A PACE board, from its sheet alone (pace.md): a master with its slaves behind it, or a board set to PACE Modbus."""

from collections.abc import Callable, Sequence
from typing import Any, Final

from bms_drivers.sims.hex_text import ERRORS, HexText, signed, word
from bms_drivers.sims.pack import Pack
from bms_drivers.sims.rtu import NO_ADDRESS, NO_FUNCTION, Refused, Rtu

PROTECT: Final = {  # byte (0 or 1), bit; sheet section 6
    "high_cell_voltage": (0, 0), "low_cell_voltage": (0, 1), "high_voltage": (0, 2), "low_voltage": (0, 3),
    "high_charge_current": (0, 4), "high_discharge_current": (0, 5), "short_circuit": (0, 6),
    "high_charge_temperature": (1, 0), "high_temperature": (1, 1), "low_charge_temperature": (1, 2),
    "low_temperature": (1, 3), "high_internal_temperature": (1, 4),
}  # fmt: skip
REFUSED: Final = 9  # return code
ROOM: Final = 25.0  # °C


def build(pack: Pack, settings: dict[str, Any]) -> "Pace | PaceModbus":
    """The board at settings["address"] (1); "packs": so many behind it, itself included; "modbus": it speaks that.

    "more": 0, 1, 10 or 14 (default) bytes behind each analog record, as boards differ (sheet section 5).
    """
    address = settings.get("address", 1)
    address = address if isinstance(address, int) else 1
    if settings.get("modbus"):
        return PaceModbus(pack, address)
    slaves = [Pack.of(n, cells=len(pack.cells), current=pack.current) for n in range(2, settings.get("packs", 1) + 1)]
    return Pace(pack, address, slaves, settings.get("more", 14))


def sensors(pack: Pack) -> list[float]:
    """Four of the cells, the MOSFETs', the surroundings' [°C]."""
    return [*[*pack.temperatures, *pack.temperatures][:4], pack.mosfet_temperature, ROOM]


def faults(pack: Pack) -> tuple[int, int, int, int]:
    """Protect 1, protect 2, fault, and warn 2: a low SoC has a warning only."""
    protect = [0, 0]
    for name in pack.alarms & PROTECT.keys():
        byte, bit = PROTECT[name]
        protect[byte] |= 1 << bit
    return protect[0], protect[1], int("internal_failure" in pack.alarms), 128 if "low_soc" in pack.alarms else 0


class Pace(HexText):
    """Bytes in, bytes out."""

    baud = 9600
    turnaround = 0.06  # s; a whole reply takes 90 to 500 ms (sheet section 2)
    version = 0x25

    def __init__(self, pack: Pack, address: int, slaves: Sequence[Pack] = (), more: int = 14) -> None:
        self.pack, self.address, self.slaves, self.more = pack, address, slaves, more
        self.control = 0

    def hears(self, address: int) -> bool:
        """Addresses 0 and FF are anybody's."""
        return address in (self.address, 0, 0xFF)

    def act(self, cid1: int, command: int, info: bytes) -> tuple[int, bytes] | None:
        """CID1 46."""
        if cid1 != 0x46:
            return ERRORS["command"], b""
        if command in (0x42, 0x44):
            return self._packs(self._analog if command == 0x42 else self._state, info)
        if command in (0x9A, 0x9B):
            return self._switch("charge_switch" if command == 0x9A else "discharge_switch", info == b"\x01")
        if command == 0x99:
            return 0, info[:1] + bytes((self.control,))
        plain = self._plain()
        return (0, plain[command]) if command in plain else (ERRORS["command"], b"")

    def _packs(self, record: Callable[[Pack], bytes], info: bytes) -> tuple[int, bytes]:
        packs = [self.pack, *self.slaves]
        if info == b"\xff":
            return 0, bytes((0, len(packs))) + b"".join(record(pack) for pack in packs)
        number = info[0] - (self.address or 1) if info else -1  # packs count from 1, at address 0 as well
        if not 0 <= number < len(packs):
            return REFUSED, b""
        return 0, b"\0" + info + record(packs[number])

    def _analog(self, pack: Pack) -> bytes:
        soc, celsius, full = min(pack.soc, 100.0), sensors(pack), word(pack.capacity, 0.01)
        more = bytes((round(soc),)) + full * 4 + bytes((100,)) + word(pack.voltage, 0.001) + bytes(2)
        return b"".join(
            (
                bytes((len(pack.cells),)), *(word(volts, 0.001) for volts in pack.cells), bytes((len(celsius),)),
                *(word(2730 + t * 10) for t in celsius), signed(pack.flow, 0.01), word(pack.voltage, 0.001),
                word(pack.capacity * soc / 100, 0.01), b"\x03", full, word(pack.cycles), full, more[: self.more],
            )
        )  # fmt: skip

    def _state(self, pack: Pack) -> bytes:
        cells = bytes(len(pack.cells))
        first, second, fault, low = faults(pack)
        status = pack.charge_switch << 1 | pack.discharge_switch << 2 | (pack.flow < 0) << 3 | (pack.flow > 0) << 5
        control = (not pack.charge_switch) << 1 | (not pack.discharge_switch) << 2
        tail = bytes((first, second, status, control, fault, pack.balancing, 0, 0, low)) + bytes(self.more > 0)
        return bytes((len(cells),)) + cells + bytes((6,)) + bytes(6) + bytes(3) + tail

    def _switch(self, name: str, off: bool) -> tuple[int, bytes]:
        """One FET stays closed, and none is opened against the current (sheet section 7)."""
        pack = self.pack
        other = pack.discharge_switch if name == "charge_switch" else pack.charge_switch
        against = pack.flow < 0 if name == "charge_switch" else pack.flow > 0
        if off and (against or not other):
            return REFUSED, b"\x04"
        setattr(pack, name, not off)
        return 0, bytes((pack.charge_switch << 1 | pack.discharge_switch << 2,))

    def _plain(self) -> dict[int, bytes]:
        """What is the same for all."""
        pack, soc = self.pack, min(self.pack.soc, 100.0)
        return {
            0x90: bytes((1 + len(self.slaves),)), 0xC1: b"P16S100A-SIM-1.00".ljust(20),
            0xC2: pack.serial.encode().ljust(40), 0xB1: bytes((24, 7, 17, 16, 30, 0)), 0x9C: b"",
            0xA6: word(pack.capacity * soc / 100, 0.01) + word(pack.capacity, 0.01) + word(pack.capacity, 0.01),
            0xD1: b"\1" + word(3600) + word(3700) + word(3380) + b"\x0a",
            0xD3: b"\1" + word(2800) + word(2500) + word(2900) + b"\x0a",
            0xD5: b"\1" + word(57600) + word(58400) + word(54000) + b"\x0a",
            0xD7: b"\1" + word(44800) + word(41600) + word(46400) + b"\x0a",
            0xD9: b"\1" + word(105) + word(110) + b"\x0a", 0xDB: b"\1" + word(-105) + word(-110) + b"\x0a",
            0xAF: b"\1" + word(56000) + word(2000) + b"\x05", 0xB6: b"\1" + word(3400) + word(30),
        }  # fmt: skip


class PaceModbus(Rtu):
    """A board whose RS485 port is set to "Pace Modbus"."""

    baud = 9600
    turnaround = 0.06  # s; a whole reply takes 90 to 500 ms (sheet section 2)

    def __init__(self, pack: Pack, unit: int) -> None:
        self.pack, self.unit = pack, unit

    def hears(self, unit: int) -> bool:
        """Its own only."""
        return unit == self.unit

    def registers(self, unit: int, function: int, address: int, count: int) -> Sequence[int]:
        """Function 03; holes within an area read 0."""
        if function != 3:
            raise Refused(NO_FUNCTION)
        image = self._image()
        if address + count > 180 or not count:
            raise Refused(NO_ADDRESS)
        return [image.get(register, 0) for register in range(address, address + count)]

    def _image(self) -> dict[int, int]:
        pack, soc = self.pack, min(self.pack.soc, 100.0)
        first, second, fault, low = faults(pack)
        status = pack.charge_switch << 10 | pack.discharge_switch << 11 | (pack.flow > 0) << 8 | (pack.flow < 0) << 9
        capacity = round(pack.capacity * 100)
        image = {
            0: round(max(-32768, min(32767, pack.flow * 100))), 1: round(pack.voltage * 100), 2: round(soc), 3: 100,
            4: round(capacity * soc / 100), 5: capacity, 6: capacity, 7: pack.cycles, 9: low << 8,
            10: second << 8 | first, 11: status | fault, 12: int(pack.balancing), 60: 57600, 61: 58400, 64: 3600,
            65: 3700, 68: 44800, 69: 41600, 72: 2800, 73: 2500, 76: 105, 77: 110, 79: 105, 80: 110, 112: 5,
        }  # fmt: skip
        image |= {15 + n: round(volts * 1000) for n, volts in enumerate(pack.cells[:16])}
        image |= {31 + n: round(t * 10) for n, t in enumerate(sensors(pack))}
        for start, words in ((150, "P16S100A-SIM-1.00"), (160, pack.serial), (170, "PACK0001")):
            raw = words.encode().ljust(20)
            image |= {start + n: raw[2 * n] << 8 | raw[2 * n + 1] for n in range(10)}
        return image
