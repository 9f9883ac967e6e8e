"""KiloVault HLX and HLX+ (Topband boards; Ective and others likewise) over Bluetooth LE: it talks, nothing is asked.

Sheet: kilovault_ble.md.  A frame a second: start byte, 112 hex characters, filler.  Little endian, but the checksum.
Current: + = charging.  Offset 8 is taken for the remaining capacity (the sheet tells of a disagreement).
"""

import re
from collections.abc import Iterator, Sequence
from typing import Final

from bms_drivers import kit
from gateway.model import WrongDevice

STARTS: Final = re.compile(rb"[\xb0\x83\x5e]")  # KiloVault, and sister brands
FILLER: Final = b"R\x11\0"
HEX: Final = re.compile(rb"[0-9A-Fa-f]*")
CHARACTERS: Final = 112
SLOTS, CELLS = 16, 22  # cells there is room for; offset
ZERO_CELSIUS: Final = 273.15  # K
EACH: Final = 6.0  # s within which a frame must come; they do each second

STATUS: Final = kit.Table(
    "<",
    kit.Field("voltage", 0, "u32", 0.001, "V"),
    kit.Field("current", 4, "i32", 0.001, "A"),
    kit.Field("remaining_capacity", 8, "u32", 0.001, "Ah"),
    kit.Field("charge_cycles", 12, "u16"),
    kit.Field("soc", 14, "u16", 1, "%"),
    kit.Field("_kelvin", 16, "u16", 0.1, "K"),
    kit.Field("_status", 18, "u32"),
)
ALARMS: Final = {  # sheet section 6; other bits are set in normal use
    0: ("high_charge_temperature", 2),
    1: ("high_temperature", 2),
    2: ("low_charge_temperature", 2),
    3: ("low_temperature", 2),
    4: ("high_discharge_current", 2),
    5: ("high_charge_current", 2),
    6: ("low_voltage", 2),
    7: ("high_voltage", 2),
    21: ("short_circuit", 2),
}
SUPPORTED: Final = kit.alarm_names(ALARMS)


def split(buffer: bytearray) -> Iterator[kit.Frame | kit.Dropped]:
    """Take frames off the front: a start byte, hex characters, and a sum that fits (sheet section 3)."""
    while (found := STARTS.search(buffer)) is not None:
        yield from skip(buffer, found.start())
        text = HEX.match(buffer, 1)
        digits = bytes(text.group()[:CHARACTERS]) if text else b""
        if len(digits) < CHARACTERS:
            if 1 + len(digits) == len(buffer):
                return
            yield kit.Dropped("length", bytes(buffer[:1]))
            del buffer[0]
            continue
        data = bytes.fromhex(digits.decode("ascii"))
        if kit.sum16(data[:-2]).to_bytes(2, "big") != data[-2:]:
            yield kit.Dropped("checksum", bytes(buffer[:1]))
            del buffer[0]
            continue
        raw = bytes(buffer[: 1 + CHARACTERS])
        del buffer[: 1 + CHARACTERS]
        yield kit.Frame(kind=raw[0], payload=data, raw=raw)
    yield from skip(buffer, len(buffer))


def skip(buffer: bytearray, size: int) -> Iterator[kit.Dropped]:
    """Take `size` bytes off the front as noise, unless they are mere filler."""
    noise = bytes(buffer[:size])
    del buffer[:size]
    if noise.strip(FILLER):
        yield kit.Dropped("noise", noise)


def status(frames: Sequence[kit.Frame], setup: kit.Setup, known: kit.Values) -> kit.Values:
    """All there is; which switch a protection opens is not told, so both."""
    data = frames[-1].payload
    values = STATUS.read(data)
    works = not values["_status"] & 0xFF
    return {
        **values,
        "cell_voltages": tuple(raw / 1000 for raw in kit.words(data, CELLS, SLOTS, "<") if raw),
        "temperatures": (round(values["_kelvin"] - ZERO_CELSIUS, 2),),
        "charge_allowed": works,
        "discharge_allowed": works,
        "alarms": kit.alarm_bits(values["_status"], ALARMS, SUPPORTED),
    }


def proof(values: kit.Values) -> str:
    """Cells whose sum is the voltage."""
    cells, volts = values.get("cell_voltages", ()), values.get("voltage", 0.0)
    if len(cells) < 3 or abs(sum(cells) - volts) > 0.03 * volts:
        raise WrongDevice(f"no KiloVault: {len(cells)} cells of {sum(cells):.2f} V, {volts:.2f} V in all")
    return f"KiloVault or another Topband battery with {len(cells)} cells"


HEAR: Final = kit.Ask(b"", split, answers=lambda frame: frame.payload[18:22] != bytes(4), timeout=EACH)
"""Frames whose status is 0 come at the beginning, and are empty (sheet section 9)."""

DRIVER: Final = kit.Driver(
    name="kilovault_ble",
    title="KiloVault HLX, HLX+ and other Topband batteries, Bluetooth",
    transports=("ble",),
    ble=kit.BleLine(ways=(kit.Gatt("ffe0", "ffe4", ""),), names=r"\d\d-\d{4}HLX"),
    plan=(
        kit.Poll(
            "status", kit.simple(HEAR, status), essential=True,
            gives=(*STATUS.names, "cell_voltages", "temperatures", "charge_allowed", "discharge_allowed", "alarms"),
        ),
    ),
    assemble=kit.alone(manufacturer="KiloVault"),
    detection=kit.Detection(rank=70, polls=("status",), proof=proof, begins=3.0),
    unseen=("alarms", "charging"),
)  # fmt: skip
