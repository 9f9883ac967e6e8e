"""A Seplos 3.0 board, from its sheet alone (seplos_v3.md): the pack's blocks, the bank's view, switches by function 10.

As on RS485: a pack at its unit, the bank's view at unit 0.  With "ble" as through the BLE module: packs from unit 1 on,
identity at unit 0, the settings at unit 0xE0.
"""

from collections.abc import Sequence
from typing import Any, Final

from bms_drivers.sims.pack import Pack
from bms_drivers.sims.rtu import NO_ADDRESS, NO_FUNCTION, NO_VALUE, Refused, Rtu

EVENTS: Final = {  # bit from 0x1240 on; sheet sections 5 and 6
    "high_cell_voltage": 9, "low_cell_voltage": 11, "high_voltage": 13, "low_voltage": 15,
    "high_charge_temperature": 17, "low_charge_temperature": 19, "high_temperature": 21, "low_temperature": 23,
    "high_internal_temperature": 29, "high_charge_current": 33, "high_discharge_current": 36, "short_circuit": 38,
    "low_soc": 51, "cell_imbalance": 52, "internal_failure": 73,
}  # fmt: skip
SETTINGS: Final = (  # SPA of a real SG16S200A, rated capacity and what follows it left out
    "00040010151815E01518168012C0122012C010E00D480DAC0D480E420C1C0B540C1C0A8C07D003E801F400CB00CD00D20064012C012C"
    "FF35FF33FF2E0064FEA2012CFED4006A025800050BB800CD000A0DAC0D4805DC03E8032000C8001E0C810C9F0C9F0CD10ADD0AC90ABF"
    "0AAB0C9F0CD10CD10D030AC90AAB0AB50A8D0C810C9F0CD10D030AC90AAB0AAB0A470DFD0E610DFD0EF70B0F0AAB0C9F0AAB000A0D48"
    "0032001E03C0005000320032001E80E880E86B400030003C00F0000A00070000000D000001F4012C168000B4FF4C00000008"
)

CLOCK: Final = [0x1807, 0x1103, 0x1000, 0x0000]  # SCA: eight bytes of date and time; readers ask for them, too


def build(pack: Pack, settings: dict[str, Any]) -> "SeplosV3":
    """The pack at settings["address"] (0); "ble": behind the module."""
    return SeplosV3(pack, settings.get("address", 0), bool(settings.get("ble")))


def text(words: str, size: int) -> list[int]:
    """NUL padded, two characters a register."""
    raw = words.encode().ljust(size, b"\0")[:size]
    return [int.from_bytes(raw[at : at + 2], "big") for at in range(0, size, 2)]


def kelvin(value: float) -> int:
    """0.1 K."""
    return round(value * 10 + 2731)


class SeplosV3(Rtu):
    """Bytes in, bytes out."""

    baud = 19200
    turnaround = 0.03  # s

    def __init__(self, pack: Pack, unit: int, ble: bool = False) -> None:
        self.pack, self.unit, self.ble = pack, unit, ble

    def hears(self, unit: int) -> bool:
        """The pack's own; through BLE the bank's and the display's, too."""
        return unit == self.unit or (self.ble and unit in (0, 0xE0))

    def registers(self, unit: int, function: int, address: int, count: int) -> Sequence[int]:
        """Function 04; never beyond the end of a block."""
        if function != 4:
            raise Refused(NO_FUNCTION)
        for start, block in self._blocks(unit).items():
            if start <= address < start + len(block):
                words = block[address - start : address - start + count]
                if len(words) == count:
                    return words
        raise Refused(NO_ADDRESS)

    def bits(self, unit: int, function: int, address: int, count: int) -> Sequence[bool]:
        """Function 01: PIC of the pack, EIC of the bank, SFA (every function enabled)."""
        own, whole = unit == self.unit, unit == 0
        blocks = {0x1200: self._state() if own else [], 0x1400: [True] * 80 if own else []}
        blocks[0x2200] = self._state()[64:] if whole else []
        for start, block in blocks.items():
            found = block[address - start : address - start + count] if start <= address else []
            if found and len(found) == count:
                return found
        raise Refused(NO_ADDRESS)

    def write(self, unit: int, function: int, address: int, data: bytes) -> None:
        """The FET and heater commands: one register with a fixed value (sheet section 7)."""
        switches = {
            (0x1510, b"\x55\xaa"): ("discharge_switch", False), (0x1510, b"\xaa\x55"): ("discharge_switch", True),
            (0x1511, b"\x55\xaa"): ("charge_switch", False), (0x1515, b"\xaa\x55"): ("charge_switch", True),
        }  # fmt: skip
        if function != 16:
            raise Refused(NO_FUNCTION)
        if (address, data) == (0x1514, b"\xaa\x55"):
            return  # heater on: there is none
        if (address, data) not in switches:
            raise Refused(NO_VALUE if address in (0x1510, 0x1511, 0x1514, 0x1515) else NO_ADDRESS)
        setattr(self.pack, *switches[address, data])

    def _blocks(self, unit: int) -> dict[int, list[int]]:
        blocks: dict[int, list[int]] = {}
        if unit == self.unit:
            blocks |= {0x1000: self._pia(), 0x1100: self._pib(), 0x1500: CLOCK}
        if unit == (0 if self.ble else self.unit):
            blocks[0x1700] = self._via()
        if unit == (0xE0 if self.ble else self.unit):
            blocks[0x1300] = self._spa()
        if unit == 0:
            blocks |= {0x2000: self._eia(), 0x2100: self._eib()}
        return blocks

    def _pia(self) -> list[int]:
        pack, soc, cells = self.pack, min(self.pack.soc, 100.0), self.pack.cells
        sensors = self._sensors()
        return [
            round(pack.voltage * 100), round(pack.flow * 100), round(pack.capacity * soc), round(pack.capacity * 100),
            round(pack.cycles * pack.capacity / 10), round(soc * 10), 1000, pack.cycles,
            round(sum(cells) / len(cells) * 1000), round(sum(sensors) / len(sensors)), round(max(cells) * 1000),
            round(min(cells) * 1000), max(sensors), min(sensors), 0, 180, 180, 1000,
        ]  # fmt: skip

    def _sensors(self) -> list[int]:
        return [kelvin(t) for t in [*self.pack.temperatures, *self.pack.temperatures][:4]]

    def _pib(self) -> list[int]:
        cells = [round(volts * 1000) for volts in self.pack.cells][:16]
        cells += [0] * (16 - len(cells))
        return [*cells, *self._sensors(), *[0x0AAB] * 4, kelvin(25.0), kelvin(self.pack.mosfet_temperature)]

    def _state(self) -> list[bool]:
        """144 bits from 0x1200 on."""
        pack, bits = self.pack, [False] * 144
        for name in pack.alarms & EVENTS.keys():
            bits[0x40 + EVENTS[name]] = True
        bits[0x30] = pack.balancing
        bits[0x40], bits[0x41], bits[0x44] = pack.flow < 0, pack.flow > 0, pack.flow == 0
        bits[0x78], bits[0x79] = pack.discharge_switch, pack.charge_switch
        return bits

    def _spa(self) -> list[int]:
        words = [int(SETTINGS[at : at + 4], 16) for at in range(0, len(SETTINGS), 4)]
        words[1] = len(self.pack.cells)
        capacity = round(self.pack.capacity * 100)
        words[0x58:0x5B] = capacity, capacity, round(capacity * min(self.pack.soc, 100) / 100)
        return words

    def _via(self) -> list[int]:
        pack = self.pack
        return [
            *text("XZH-ElecTech Co.,Ltd", 20), *text("SG16S-SIM", 20), *text("15", 2), *text(pack.serial, 30),
            *text("", 30),
        ]  # fmt: skip

    def _eia(self) -> list[int]:
        """A bank of this pack alone; 32 bits, low word first."""
        pack, soc = self.pack, min(self.pack.soc, 100.0)
        wide = (
            pack.voltage * 100, pack.flow * 10, pack.capacity * soc, pack.capacity * 100,
            pack.cycles * pack.capacity / 10, pack.capacity * 100, 1, 0, 1800, 1800,
        )  # fmt: skip
        words = [part for value in wide for part in (round(value) & 0xFFFF, round(value) >> 16 & 0xFFFF)]
        return [*words, 576, 464, 1, pack.cycles, round(soc * 10), 1000]

    def _eib(self) -> list[int]:
        cells, sensors = [round(volts * 1000) for volts in self.pack.cells], [t - 2731 for t in self._sensors()]
        return [max(cells), min(cells), 0, 0, max(sensors), min(sensors), *[0] * 16]
