"""MNB-Li: a board with a MAX17853 battery monitor on the SPI bus of the Raspberry Pi itself; the reader is the BMS.

Sheet: mnb.md.  A word is 32 bits, most significant first; measured values stand left-aligned in 14 of 16 bits.  The
board has no SoC, capacity or switches: SoC is the gateway's own counter (limits.soc.source: counter, and
limits.soc.capacity); relays on GPIO pins are not driven.  Balancing is kept off.  Current: + = charging.
Values of the set-up that the sheet lists without a number are those of the only public reader.
"""

import functools
import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from bms_drivers import kit
from gateway.model import DeviceRefused, Implausible, LinkTimeout, WrongDevice

STATUS_1, FMEA_1 = 0x02, 0x05
CLEARED: Final = range(0x02, 0x07)  # status and FMEA: 0 is written once they were read
SHUNT, FIRST_CELL, BLOCK, DIE, FIRST_SENSOR = 0x47, 0x48, 0x55, 0x57, 0x59
MEASURED, SCAN, MOVE, BALANCING = 0x64, 0x66, 0x83, 0x80

POWER_ON: Final = 1 << 14  # of status 1: the chip lost its configuration
PROVEN: Final = (MEASURED, *range(0x1F, 0x23))  # read back: channels, thresholds of the cells
SCAN_START, SCAN_END, DATA_READY = 0x0E21, 0x1E28, 1 << 13
LOOKS: Final = 20  # at the scan's end; the pause of the link lies between

CELL_STEP, BLOCK_STEP = 0.000305, 0.003967  # V; sheet section 5
FULL: Final = 0x3FFF  # of a 14-bit value
CELL_CLEAR, BLOCK_CLEAR, TEMPERATURE_CLEAR = 0.1, 0.25, 5.0  # V, V, °C back from a threshold where its alert ends
MISMATCH: Final = 0x514  # 0.1 V between cells
AMPLIFIER_ZERO, AMPLIFIER_MOST = 2.5, 5.0  # V of the shunt's amplifier, which the block may include
NTC_SLOPE, NTC_OFFSET = 0.01998, 12.74  # 1/°C, °C; sheet section 5
SENSOR_MOST: Final = 120.0  # °C
DIE_LEAST, DIE_MOST = -45.0, 130.0  # °C at which such a chip can answer at all

ALARMS: Final = {  # bits of status 1, from bit 32 on those of FMEA 1; sheet section 6
    3: ("internal_failure", 1),  # calibration
    7: ("high_charge_temperature", 2),
    8: ("low_charge_temperature", 2),
    9: ("low_voltage", 2),
    10: ("high_voltage", 2),
    11: ("low_cell_voltage", 2),
    12: ("high_cell_voltage", 2),
    13: ("cell_imbalance", 1),
    **dict.fromkeys(range(32 + 2, 32 + 7), ("internal_failure", 2)),
}
SUPPORTED: Final = kit.alarm_names(ALARMS)


# ---- words


def crc3(value: int, bits: int) -> int:
    """CRC-3 (x³ + x + 1, start 0) over the lowest `bits` of `value`, 16 at most (sheet section 3)."""
    value &= (1 << bits) - 1
    return crc_table()[crc_table()[value >> 8] << 5 ^ value & 0xFF]


@functools.cache
def crc_table() -> tuple[int, ...]:
    """The CRC of each byte; leading zeros do not change a CRC that starts at 0."""
    table = []
    for crc in range(256):
        for _ in range(8):
            crc = crc << 1 ^ (0b1011 << 5 if crc & 0x80 else 0)
        table.append(crc >> 5 & 0b111)
    return tuple(table)


def word(register: int, data: int | None = None) -> bytes:
    """The word that reads a register, or writes `data` to it."""
    reads, sent = data is None, data or 0
    head = reads << 8 | register
    return (head << 23 | crc3(head, 9) << 20 | sent << 4 | reads << 3 | crc3(sent, 16)).to_bytes(4, "big")


def split_into(count: int) -> kit.Splitter:
    """Takes answers of `count` words; a frame's payload is their data.  One wrong word spoils the answer."""

    def split(buffer: bytearray) -> Iterator[kit.Frame | kit.Dropped]:
        while len(buffer) >= 4 * count:
            whole = bytes(buffer[: 4 * count])
            del buffer[: 4 * count]
            words = [int.from_bytes(whole[at : at + 4], "big") for at in range(0, len(whole), 4)]
            data = [word >> 4 & 0xFFFF for word in words]
            if any(word & 0b111 != crc3(value, 16) for word, value in zip(words, data, strict=True)):
                yield kit.Dropped("checksum", whole)
            else:
                yield kit.Frame(kind=0, payload=b"".join(value.to_bytes(2, "big") for value in data), raw=whole)

    return split


def split_written(count: int) -> kit.Splitter:
    """Takes what comes in while `count` words are written; it tells nothing that the sheet knows."""

    def split(buffer: bytearray) -> Iterator[kit.Frame | kit.Dropped]:
        while len(buffer) >= 4 * count:
            yield kit.Frame(kind=0, payload=b"", raw=bytes(buffer[: 4 * count]))
            del buffer[: 4 * count]

    return split


@functools.lru_cache(maxsize=64)
def read(*registers: int) -> kit.Ask:
    """Reads these registers one after another."""
    count = len(registers)
    return kit.Ask(b"".join(map(word, registers)), split_into(count), size=4 * count, tries=2)


def write(pairs: Iterable[tuple[int, int]]) -> kit.Ask:
    """Writes values to registers, given as (register, value)."""
    words = [word(register, data) for register, data in pairs]
    return kit.Ask(b"".join(words), split_written(len(words)), size=4 * len(words))


def values_of(frames: Sequence[kit.Frame], count: int) -> list[int]:
    """The registers of an answer.  Raises BadLength."""
    return list(kit.words(frames[0].payload, 0, count))


# ---- what the chip is told


def aligned(count: float) -> int:
    """A 14-bit count as it stands in a register."""
    return min(max(round(count), 0), FULL) << 2


def sensor_count(celsius: float) -> float:
    """What a sensor measures; the hotter, the lower (sheet section 5)."""
    return FULL / math.exp((celsius + NTC_OFFSET) * NTC_SLOPE) - 1


def measured(setup: kit.Setup) -> int:
    """Which channels are measured: the block (bit 14), the shunt's amplifier (0) and the cells."""
    cells: int = setup["cell_count"]
    return 1 << 14 | (1 << cells + 1) - 1


def configuration(setup: kit.Setup) -> Iterator[tuple[int, int]]:
    """Registers and what they are set to, in order (sheet section 5); balancing is off."""
    top, watched, sensors = setup["cell_count"] + 1, measured(setup) & ~1, (1 << setup["sensors"]) - 1
    yield from ((register, 0) for register in CLEARED)
    yield from ((0x14, 0x0002), (0x15, 0x0004), (0x16, 0x0000), (0x18, 0x2000 | top << 8 | top << 4 | top))
    yield from ((0x19, 0x3FAF), (0x1A, watched), (0x1B, watched), (0x1C, sensors), (0x1D, sensors))
    yield from thresholds(setup)
    yield from ((0x5F, 0x0001), (0x62, 0x4800), (0x63, 0x0303), (MEASURED, measured(setup)), (0x65, 0x8000 | sensors))
    yield from ((BALANCING, 0), (0x6F, 0), (0x6B, 0x0001))  # the last: the die's temperature is measured


def thresholds(setup: kit.Setup) -> Iterator[tuple[int, int]]:
    """Where alerts end and begin: of a cell, of the block (with or without the amplifier), of a sensor."""
    cells, high, low = setup["cell_count"], setup["cell_high"], setup["cell_low"]
    most, least = cells * high + AMPLIFIER_ZERO, cells * low
    cold, hot = setup["temperature_low"], setup["temperature_high"]
    for first, count_of, ends in (
        (0x1F, lambda volts: volts / CELL_STEP, (high - CELL_CLEAR, high, low + CELL_CLEAR, low)),
        (0x28, lambda volts: volts / BLOCK_STEP, (most - BLOCK_CLEAR, most, least + BLOCK_CLEAR, least)),
        (0x30, sensor_count, (cold + TEMPERATURE_CLEAR, cold, hot - TEMPERATURE_CLEAR, hot)),
    ):
        yield from ((first + n, aligned(count_of(end))) for n, end in enumerate(ends))
    yield 0x23, MISMATCH


# ---- what it says


def chip(setup: kit.Setup, known: kit.Values) -> kit.Talk:
    """One scan of everything; the chip is configured first, and again when it has lost its configuration.

    Raises LinkTimeout for a scan without end, DeviceRefused for a chip that does not keep what it is told.
    """
    (status,) = values_of((yield read(STATUS_1)), 1)
    if status & POWER_ON or not known.get("_configured"):
        yield from configure(setup)
    yield write([(SCAN, SCAN_START)])
    for _ in range(LOOKS):
        (state,) = values_of((yield read(SCAN)), 1)
        if state & DATA_READY:
            break
    else:
        raise LinkTimeout(f"the scan does not end: 0x{SCAN:02X} is 0x{state:04X}")
    yield write([(MOVE, 1), (SCAN, SCAN_END)])
    cells, sensors = setup["cell_count"], setup["sensors"]
    asked = (
        STATUS_1, FMEA_1, SHUNT, BLOCK, DIE,
        *range(FIRST_CELL, FIRST_CELL + cells), *range(FIRST_SENSOR, FIRST_SENSOR + sensors),
    )  # fmt: skip
    registers = values_of((yield read(*asked)), len(asked))
    values = decoded(registers, setup)
    yield write((register, 0) for register in CLEARED)
    return {**values, "_configured": True}


def configure(setup: kit.Setup) -> kit.Talk:
    """Write the whole configuration; what values and alarms of cells rest on is read back.  Raises DeviceRefused."""
    yield write(configuration(setup))
    wanted = dict(configuration(setup))
    kept = values_of((yield read(*PROVEN)), len(PROVEN))
    for register, value in zip(PROVEN, kept, strict=True):
        if value != wanted[register]:
            raise DeviceRefused(f"register 0x{register:02X} was set to 0x{wanted[register]:04X} and is 0x{value:04X}")
    return {}


def decoded(registers: Sequence[int], setup: kit.Setup) -> kit.Values:
    """Values of one scan.  Raises WrongDevice, Implausible."""
    status, fmea, shunt, block, die = registers[:5]
    cells = tuple(round((raw >> 2) * CELL_STEP, 3) for raw in registers[5 : 5 + setup["cell_count"]])
    voltage, own = round(sum(cells), 3), die_temperature(die >> 2)
    check_block((block >> 2) * BLOCK_STEP, voltage)
    return {
        "voltage": voltage,
        "current": current(shunt >> 2, setup),
        "cell_voltages": cells,
        "cell_count": len(cells),
        "temperatures": tuple(sensor(raw >> 2) for raw in registers[5 + len(cells) :]),
        "mosfet_temperature": own,
        "alarms": kit.alarm_bits(status | fmea << 32, ALARMS, SUPPORTED),
    }


def current(count: int, setup: kit.Setup) -> float | None:
    """A through the shunt, + = charging (sheet section 5); None at either end of the scale, where it may be more."""
    if not 0 < count < FULL:
        return None
    amps: float = (count * CELL_STEP - AMPLIFIER_ZERO) / setup["volts_per_ampere"] + setup["current_offset"]
    return round(-amps if setup["invert_current"] else amps, 2) + 0


def sensor(count: int) -> float | None:
    """°C of an NTC; None at either end of the scale, where it is broken or not fitted."""
    celsius = round(math.log(FULL / (count + 1)) / NTC_SLOPE - NTC_OFFSET, 1)
    return celsius if count < FULL and celsius <= SENSOR_MOST else None


def die_temperature(count: int) -> float:
    """°C of the chip itself; where nothing answers, zeros or ones make it impossible.  Raises WrongDevice."""
    celsius = round(count / 16384 * 2.3077 / 0.0032 + 8.3 - 273, 1)
    if not DIE_LEAST <= celsius <= DIE_MOST:
        raise WrongDevice(f"no MAX17853 answers: its temperature would be {celsius:g} °C")
    return celsius


def check_block(block: float, cells: float) -> None:
    """The block's voltage is that of the cells, perhaps with the amplifier's.  Raises Implausible."""
    least, most = 0.95 * cells - BLOCK_STEP, 1.05 * cells + AMPLIFIER_MOST
    if not least <= block <= most:
        raise Implausible("block voltage", f"{block:.2f} V", f"{least:.2f}..{most:.2f} V, as the cells have it")


def option(name: str, default: float, help: str, least: float, most: float) -> kit.Option:
    """A setting that is a number."""
    return kit.Option(name, default, help, kind=float, least=least, most=most)


DRIVER: Final = kit.Driver(
    name="mnb",
    title="MNB-Li board (MAX17853) on the Raspberry Pi's SPI bus",
    transports=("spi",),
    spi=kit.SpiLine(hertz=500_000, word=4, mode=0, pause=0.01),
    options=(
        kit.Option("cell_count", 8, "cells in series", least=1, most=8),
        kit.Option("sensors", 6, "temperature sensors that are fitted", least=1, most=6),
        option("volts_per_ampere", 0.025, "of the shunt's amplifier", 0.0005, 1.0),
        option("current_offset", 0.0, "A that are added, so that 0 A is read where none flows", -50.0, 50.0),
        kit.Option("invert_current", False, "true = the shunt is wired the other way round", kind=bool),
        option("cell_high", 3.65, "V of a cell from which the chip raises its alarm", 3.0, 4.5),
        option("cell_low", 2.5, "V of a cell under which it does", 1.0, 2.9),
        option("temperature_high", 50.0, "°C from which it does", 25.0, 80.0),
        option("temperature_low", 0.0, "°C under which it does; its sensors end at -12 °C", -10.0, 15.0),
    ),
    plan=(
        kit.Poll(
            "chip", chip, essential=True,
            gives=(
                "voltage", "current", "cell_voltages", "cell_count", "temperatures", "mosfet_temperature", "alarms",
            ),
        ),
    ),
    assemble=kit.alone(manufacturer="MNB", model="MNB-Li SPI"),
    detection=kit.UNDETECTABLE,
    standing="from documentation only: nothing of it was ever captured; no SoC (limits.soc.source: counter is needed)",
)  # fmt: skip
