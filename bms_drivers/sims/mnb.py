"""A MAX17853 as an MNB-Li board has it, from its sheet alone (mnb.md): registers, scans, thresholds and alerts.

settings: cell_count, volts_per_ampere, current_offset and invert_current, as the driver has them.
"""

import math
from collections.abc import Iterator
from typing import Any, Final

from bms_drivers.sims.pack import Pack

CELLS: Final = range(1, 9)
STATUS_1, STATUS_2, FMEA_1 = 0x02, 0x03, 0x05
CLEARABLE: Final = range(0x02, 0x07)
MEASURE, FILTER, SCAN, DIE_DIAGNOSTIC, MOVE = 0x64, 0x65, 0x66, 0x6B, 0x83
AMPLIFIER, BLOCK, DIE, SENSORS = 0x47, 0x55, 0x57, range(0x59, 0x5F)
POWER_ON, SPI_ERROR, DONE, READY = 1 << 14, 1 << 4, 1 << 15, 1 << 13
BITS: Final = {  # of status 1; sheet section 6
    "high_charge_temperature": 7, "low_charge_temperature": 8, "low_voltage": 9, "high_voltage": 10,
    "low_cell_voltage": 11, "high_cell_voltage": 12, "cell_imbalance": 13,
}  # fmt: skip


def build(pack: Pack, settings: dict[str, Any]) -> "Chip":
    """The chip, just powered on."""
    count = settings.get("cell_count", len(pack.cells))
    del pack.cells[count:], pack.charges[count:]
    return Chip(pack, settings)


def check(value: int, bits: int) -> int:
    """Remainder of `value` * x³ by x³ + x + 1 (sheet section 3)."""
    rest = value << 3
    for place in range(bits + 2, 2, -1):
        if rest >> place & 1:
            rest ^= 0b1011 << place - 3
    return rest


def step(volts: float, size: float) -> int:
    """A measured value, left-aligned."""
    return min(max(round(volts / size), 0), 0x3FFF) << 2


class Chip:
    """Words in, words out: what comes out of a word that reads is the register's content in that same word."""

    def __init__(self, pack: Pack, settings: dict[str, Any]) -> None:
        self.pack = pack
        self.baud, self.turnaround = 500_000, 0.0
        self._settings = settings
        self.power_on()

    def power_on(self) -> None:
        """All that was configured is gone."""
        self.values = dict.fromkeys(range(256), 0)
        self.values[STATUS_1] = POWER_ON
        self._measured: dict[int, int] = {}
        self._scanning = False
        self._check = 0  # of the previous word

    def answer(self, received: bytearray) -> list[bytes]:
        """A word for each word."""
        answers = []
        while len(received) >= 4:
            word = int.from_bytes(received[:4], "big")
            del received[:4]
            answers.append(self._word(word).to_bytes(4, "big"))
        return answers

    def _word(self, word: int) -> int:
        reads, register, data = word >> 31, word >> 23 & 0xFF, word >> 4 & 0xFFFF
        flags = bool(self.values[STATUS_1]) << 4
        head, self._check = flags << 27 | self._check << 24, word & 7
        if (word >> 20 & 7, word >> 3 & 1, word & 7) != (check(word >> 23, 9), reads, check(data, 16)):
            self.values[STATUS_1] |= SPI_ERROR
            self.values[STATUS_2] |= 1 << 7
            return head
        if reads:
            content = self._read(register)
            return head | content << 4 | 1 << 3 | check(content, 16)
        self._write(register, data)
        return head | register << 16 | data

    def _read(self, register: int) -> int:
        content = self.values[register]
        if register == SCAN and self._scanning:  # it takes a while: whoever asks at once finds it under way
            self._scanning = False
            self.values[SCAN] |= DONE | READY
        return content

    def _write(self, register: int, data: int) -> None:
        if register in CLEARABLE:
            self.values[register] &= data
        elif register == MOVE:
            self.values.update(self._measured if data & 1 else {})
        else:
            self.values[register] = data & ~1 if register == SCAN else data
            if register == SCAN and data & 1:
                self._scanning = True
                self._scan()

    # ---- one scan

    def _scan(self) -> None:
        self._measured = dict.fromkeys((*range(AMPLIFIER, BLOCK + 1), DIE, *SENSORS), 0)
        self._measured.update(self._channels())
        forced = sum(1 << bit for name, bit in BITS.items() if name in self.pack.alarms)
        self.values[STATUS_1] |= forced | sum(1 << BITS[name] for name in self._alerts())
        self.values[FMEA_1] |= ("internal_failure" in self.pack.alarms) << 2

    def _channels(self) -> Iterator[tuple[int, int]]:
        """What is measured of what is there, as it is enabled."""
        pack, enabled, sensors = self.pack, self.values[MEASURE], self.values[FILTER]
        channels = (self._amplifier(), *pack.cells)
        yield from ((AMPLIFIER + n, step(volts, 0.000305)) for n, volts in enumerate(channels) if enabled >> n & 1)
        if enabled >> 14 & 1:
            yield BLOCK, step(pack.voltage, 0.003967)
        if self.values[DIE_DIAGNOSTIC] == 1:
            yield DIE, step((pack.mosfet_temperature + 273 - 8.3) * 0.0032, 2.3077 / 16384)
        for n, register in enumerate(SENSORS):
            if sensors >> n & 1:
                celsius = pack.temperatures[n % len(pack.temperatures)]
                yield register, step(16383 / math.exp((celsius + 12.74) * 0.01998) - 1, 1)

    def _amplifier(self) -> float:
        """V at the shunt's amplifier."""
        flow = -self.pack.flow if self._settings.get("invert_current") else self.pack.flow
        offset: float = self._settings.get("current_offset", 0.0)
        gain: float = self._settings.get("volts_per_ampere", 0.025)
        return 2.5 + (flow - offset) * gain

    def _alerts(self) -> Iterator[str]:
        """Values beyond their thresholds, where that alert is enabled (sheet section 5)."""
        values, found = self.values, self._measured
        over, under, aux_over, aux_under = (values[register] for register in range(0x1A, 0x1E))
        cells = {n: found[AMPLIFIER + n] for n in range(1, 1 + len(self.pack.cells)) if over >> n & 1}
        if any(count > values[0x20] for count in cells.values()):
            yield "high_cell_voltage"
        if any(count < values[0x22] for n, count in cells.items() if under >> n & 1):
            yield "low_cell_voltage"
        if cells and values[0x23] and max(cells.values()) - min(cells.values()) > values[0x23]:
            yield "cell_imbalance"
        if over >> 14 & 1 and found[BLOCK] > values[0x29]:
            yield "high_voltage"
        if under >> 14 & 1 and found[BLOCK] < values[0x2B]:
            yield "low_voltage"
        sensors = [(n, found[register]) for n, register in enumerate(SENSORS)]
        if any(count > values[0x31] for n, count in sensors if aux_over >> n & 1):  # colder, higher
            yield "low_charge_temperature"
        if any(count < values[0x33] for n, count in sensors if aux_under >> n & 1):
            yield "high_charge_temperature"
