"""Sinowealth boards (SH367303/5/6, SH39F003/4): small packs of 3 to 10 cells, many sold by Daly; the 0A protocol.

Sheet: sinowealth.md.  Big endian, UART, one board a port.  A reply is data and a check byte, without header or address;
the check byte (CRC-8 over request and data; no public reader knows it, the recordings prove it for two data bytes) is
all that tells it from noise.
Current: + = charging is assumed; while the board says that it charges or discharges, that decides (own choice).
"""

import functools
from collections.abc import Iterator, Sequence
from typing import Final

from bms_drivers import kit
from gateway.model import Implausible, LinkTimeout, WrongDevice

CELL_1, VOLTAGE, TEMPERATURE_1, TEMPERATURE_2 = 0x01, 0x0B, 0x0C, 0x0D  # registers, sheet section 5
CURRENT, CAPACITY, REMAINING, SOC, CYCLES, PACK_STATUS, BATTERY_STATUS, CONFIG = range(0x10, 0x18)
LONG: Final = (CURRENT, CAPACITY, REMAINING)  # read with four data bytes, all others with two
LEAST_CELLS, MOST_CELLS = 3, 10
NOT_FITTED: Final = 2731  # raw 0.0 °C at start: there is no second sensor
DISCHARGING, CHARGING, DISCHARGE_FET, CHARGE_FET = 3, 2, 1, 0  # bits of the pack status
SUM_TOLERANCE: Final = 0.05  # share by which the cells' sum may differ from the voltage

ALARMS: Final = {  # bits of the battery status; sheet section 6
    14: ("bms_cable", 2),
    13: ("short_circuit", 2),
    12: ("high_voltage", 2),
    11: ("low_temperature", 2),
    10: ("low_charge_temperature", 2),
    9: ("high_temperature", 2),
    8: ("high_charge_temperature", 2),
    3: ("high_discharge_current", 2),
    2: ("high_charge_current", 2),
    1: ("low_voltage", 2),
    0: ("high_voltage", 2),
}
SUPPORTED: Final = kit.alarm_names(ALARMS)


@functools.cache
def ask(register: int) -> kit.Ask:
    """The read of one register, with one repeat (sheet section 4)."""
    size = 4 if register in LONG else 2
    request = bytes((0x0A, register, size))

    def split(buffer: bytearray) -> Iterator[kit.Frame | kit.Dropped]:
        """The reply is what came first.  Were it looked for in noise, each byte might be one by 1 : 256: all that
        comes after a wrong check byte stays unused until the time-out, when the line is quiet (sheet section 9)."""
        while len(buffer) > size and kit.crc8(request + buffer[: size + 1]) == 0:
            data, raw = bytes(buffer[:size]), bytes(buffer[: size + 1])
            del buffer[: size + 1]
            yield kit.Frame(kind=register, payload=data, raw=raw)

    return kit.Ask(request=request, split=split, size=size + 1, timeout=0.5, tries=2)


def number(frames: Sequence[kit.Frame], signed: bool = False) -> int:
    """The number that a reply holds."""
    return int.from_bytes(frames[0].payload, "big", signed=signed)


def value(register: int, name: str, scale: float = 1, *, every: float = 0.0, essential: bool = False) -> kit.Poll:
    """The step that reads one register as one value."""
    table = kit.Table(">", kit.Field(name, 0, "i32" if register in LONG else "u16", scale))
    talk = kit.simple(ask(register), kit.reads(table))
    return kit.Poll(name, talk, gives=(name.lstrip("_"),), every=every, essential=essential)


def config(setup: kit.Setup, known: kit.Values) -> kit.Talk:
    """How many cells there are; asked until it was answered once."""
    if "cell_count" not in known:
        word = number((yield ask(CONFIG)))
        return {"cell_count": (word & 7) + LEAST_CELLS}
    return {"cell_count": known["cell_count"]}


def cells(setup: kit.Setup, known: kit.Values) -> kit.Talk:
    """Every cell, or none: a list with a gap would be another pack."""
    count = known.get("cell_count")
    found: list[float] = []
    for n in range(count or MOST_CELLS):
        try:
            found.append(number((yield ask(CELL_1 + n))) / 1000)
        except LinkTimeout:
            if count or not found:
                raise
            break  # a recording without the count; a battery whose count is not known is not read this far
    return {"cell_voltages": tuple(found)}


def soc(frames: Sequence[kit.Frame], setup: kit.Setup, known: kit.Values) -> kit.Values:
    """The low byte."""
    return {"soc": number(frames) & 0xFF}


def status(frames: Sequence[kit.Frame], setup: kit.Setup, known: kit.Values) -> kit.Values:
    """Switches, and what the board thinks it does."""
    word = number(frames)
    return {
        "charge_allowed": bool(word >> CHARGE_FET & 1),
        "discharge_allowed": bool(word >> DISCHARGE_FET & 1),
        "_charging": bool(word >> CHARGING & 1),
        "_discharging": bool(word >> DISCHARGING & 1),
    }


def alarms(frames: Sequence[kit.Frame], setup: kit.Setup, known: kit.Values) -> kit.Values:
    """Protections."""
    return {"alarms": kit.alarm_bits(number(frames), ALARMS, SUPPORTED)}


def celsius(raw: int) -> float:
    """°C of a sensor's register, in 0.1 K."""
    return round((raw - 2731) / 10, 1)


def first_sensor(frames: Sequence[kit.Frame], setup: kit.Setup, known: kit.Values) -> kit.Values:
    """Sensor 1."""
    return {"_temperature_1": celsius(number(frames))}


def is_second_fitted(frames: Sequence[kit.Frame], setup: kit.Setup, known: kit.Values) -> kit.Values:
    """Decided at start: no answer, or exactly 0.0 °C, is no sensor."""
    return {"_second_fitted": number(frames) != NOT_FITTED}


def second_sensor(setup: kit.Setup, known: kit.Values) -> kit.Talk:
    """Sensor 2, where it is fitted."""
    if not known.get("_second_fitted"):
        return {}
    return {"_temperature_2": celsius(number((yield ask(TEMPERATURE_2))))}


def finish(values: kit.Values, setup: kit.Setup) -> kit.Values:
    """Sign of the current, sensors, and whether this is a pack of this register map at all.  Raises Implausible."""
    refuse_long_packs(values)
    if "_current" in values:
        values["current"] = signed(values["_current"], values)
    if values.get("_second_fitted"):
        values["temperatures"] = (values.get("_temperature_1"), values.get("_temperature_2"))
    elif "_temperature_1" in values:
        values["temperatures"] = (values["_temperature_1"],)
    return values


def signed(current: float, values: kit.Values) -> float:
    """A, + = charging: the board's own word, where it says one of both."""
    charging, discharging = values.get("_charging"), values.get("_discharging")
    if charging is None or charging == discharging:
        return current
    return abs(current) if charging else -abs(current) + 0.0


def refuse_long_packs(values: kit.Values) -> None:
    """Boards with more than ten cells have them where others have the voltage (sheet section 5)."""
    volts, found = values.get("voltage"), values.get("cell_voltages", ())
    if volts is None or not found or len(found) != values.get("cell_count"):
        return
    if abs(volts - sum(found)) > SUM_TOLERANCE * sum(found):
        raise Implausible("voltage", f"{volts:.3f} V", f"what {len(found)} cells add up to, {sum(found):.3f} V")


def proof(values: kit.Values) -> str:
    """All check bytes were right; cells of 0.5 to 5 V that add up to the voltage within 2 % (sheet section 8)."""
    found, volts = values.get("cell_voltages", ()), values.get("voltage", 0.0)
    sound = found and all(0.5 <= cell <= 5.0 for cell in found) and abs(sum(found) - volts) <= 0.02 * volts
    if not sound or not values.get("capacity") or values.get("soc", 101) > 100:
        raise WrongDevice(f"no Sinowealth pack: {len(found)} cells of {sum(found):.3f} V, {volts:.3f} V in all")
    return f"Sinowealth board with {len(found)} cells"


DRIVER: Final = kit.Driver(
    name="sinowealth",
    title="Sinowealth boards (small Daly packs), 0A protocol",
    line=kit.SerialLine(baud=9600, quiet=0.02, turnaround=0.02),
    plan=(
        kit.Poll("config", config, gives=("cell_count",), essential=True),
        kit.Poll("soc", kit.simple(ask(SOC), soc), gives=("soc",)),
        kit.Poll("status", kit.simple(ask(PACK_STATUS), status), gives=("charge_allowed", "discharge_allowed")),
        kit.Poll("alarms", kit.simple(ask(BATTERY_STATUS), alarms), gives=("alarms",)),
        value(VOLTAGE, "voltage", 0.001, essential=True),
        value(CURRENT, "_current", 0.001),
        kit.Poll("cells", cells, gives=("cell_voltages",), essential=True),
        kit.Poll("sensor_1", kit.simple(ask(TEMPERATURE_1), first_sensor), gives=("temperatures",)),
        kit.Poll("sensor_2_fitted", kit.simple(ask(TEMPERATURE_2), is_second_fitted), every=kit.ONCE),
        kit.Poll("sensor_2", second_sensor),
        value(REMAINING, "remaining_capacity", 0.001),
        value(CYCLES, "charge_cycles"),
        value(CAPACITY, "capacity", 0.001, every=kit.ONCE),
    ),
    assemble=kit.alone(finish),
    detection=kit.Detection(
        rank=95, never_auto=True, polls=("config", "voltage", "cells", "soc", "capacity"), proof=proof
    ),
    standing="decoded from captures (cells alone), all else from documentation only",
    unseen=(
        "alarms", "capacity", "cell_count", "charge_allowed", "charge_cycles", "current", "discharge_allowed",
        "remaining_capacity", "soc", "temperatures", "voltage", "the check byte of four-byte registers",
        "the sign of the current",
    ),
)  # fmt: skip
