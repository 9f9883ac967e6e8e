"""Renogy smart lithium batteries (RBT..., PRO series), BMS by RongSi: Modbus RTU, also over the batteries' Bluetooth.

Sheet: renogy.md.  Big endian, 32-bit numbers high word first.  Several batteries on one bus, each with its unit, which
may change when a Bluetooth module or a Renogy ONE is plugged in.
Current: + = charging; in 0.01 A, of the PRO series in 0.1 A (captures, section 9): told by the setting `variant`, by
replies that bear unit 255 although another was asked, or by the model (renogy_ble.md, sections 1 and 3).  The scale of
the PRO's current limits is not known: left out.
Cells have steps of 0.1 V only.  A range that touches an unmapped register is refused, so that smaller blocks are tried.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

from bms_drivers import kit
from gateway.model import BadLength, DeviceRefused, LinkTimeout, WrongDevice

BUILT_IN, FACTORY, RENUMBERED = 0x30, 0xF7, (0x48, 0x49)  # units that batteries are found at; sheet section 2
BROADCAST: Final = 0xFF  # the unit in the PRO's replies
MOST_CELLS: Final = 16
STEP, PRO_STEP = 0.01, 0.1  # A
PRO_MODELS: Final = ("RNG", "RBT12100LFP", "RBT12200LFP")  # what the model's text begins with
SWAPPED_CYCLES: Final = "RNGC"  # models whose cycle count comes low byte first

TEMPERATURES: Final = kit.by_register(
    5035,
    kit.Field("_board", 5035, "i16", 0.1, "°C"),
    kit.Field("_ambient_sensors", 5036, "u16"),
    kit.Field("_ambient", 5037, "i16", 0.1, "°C"),
)
MAIN: Final = kit.by_register(
    5042,
    kit.Field("_current", 5042, "i16"),
    kit.Field("voltage", 5043, "u16", 0.1, "V"),
    kit.Field("remaining_capacity", 5044, "u32", 0.001, "Ah"),
    kit.Field("capacity", 5046, "u32", 0.001, "Ah"),
)
CYCLES: Final = kit.by_register(5042, kit.Field("_cycles", 5048, "u16"))
LIMITS: Final = kit.by_register(
    5042,
    kit.Field("max_battery_voltage", 5049, "u16", 0.1, "V"),
    kit.Field("min_battery_voltage", 5050, "u16", 0.1, "V"),
    kit.Field("_charge_limit", 5051, "u16", 0.01, "A"),
    kit.Field("_discharge_limit", 5052, "i16", 0.01, "A"),
)
STATES: Final = kit.by_register(
    5100,
    kit.Field("_cells", 5100, "u32"),
    kit.Field("_sensors", 5102, "u32"),
    kit.Field("_others", 5104, "u32"),
    kit.Field("_status_1", 5106, "u16"),
    kit.Field("_status_2", 5107, "u16"),
)
CELL_ERRORS: Final = kit.by_register(5100, kit.Field("_status_3", 5108, "u16"))

PROTECTIONS: Final = {  # 5106; sheet section 6
    15: ("low_voltage", 2),
    14: ("high_charge_temperature", 2),
    13: ("low_charge_temperature", 2),
    12: ("high_temperature", 2),
    11: ("low_temperature", 2),
    10: ("high_discharge_current", 2),
    9: ("high_charge_current", 2),
    8: ("high_cell_voltage", 2),
    7: ("low_cell_voltage", 2),
    6: ("high_voltage", 2),
    5: ("high_discharge_current", 2),
    4: ("high_charge_current", 2),
    0: ("short_circuit", 2),
}
WARNINGS: Final = {  # 5107
    7: ("high_temperature", 1),
    6: ("low_temperature", 1),
    5: ("high_charge_temperature", 1),
    4: ("low_charge_temperature", 1),
    3: ("high_voltage", 1),
    2: ("low_voltage", 1),
    1: ("high_cell_voltage", 1),
    0: ("low_cell_voltage", 1),
}
CHARGE_FET, DISCHARGE_FET = 1, 2  # bits of 5106
HEATER: Final = 13  # bit of 5107
PAIRS: Final = {  # words of two bits an item: item -> (01 low, 10 high); 11 = other; section 6, levels are our choice
    "_cells": dict.fromkeys(range(16), ("low_cell_voltage", "high_cell_voltage")),
    "_sensors": dict.fromkeys(range(16), ("low_temperature", "high_temperature")),
    "_others": {
        15: ("", "high_internal_temperature"),
        14: ("", "high_internal_temperature"),
        13: ("", "high_internal_temperature"),
        10: ("", "high_charge_current"),
        9: ("", "high_discharge_current"),
    },
}
SUPPORTED: Final = kit.alarm_names(PROTECTIONS, "high_internal_temperature", "internal_failure")

Block = tuple[int, int]  # first register, count
CELL_BLOCKS: Final = ((5000, 34), (5000, 17))  # the best first
SENSOR_BLOCK: Final = (5017, 17)  # where cells came alone
SENSORS_AT: Final = 34  # byte where it begins in the large one
MAIN_BLOCKS: Final = ((5042, 11), (5042, 7), (5042, 6))  # sheet section 4: 11 and 10 are not proven
STATE_BLOCKS: Final = ((5100, 10), (5100, 8))
IDENTITY_BLOCKS: Final = ((5110, 32), (5104, 28), (5122, 8))
TEXTS: Final = {  # name: (register, count)
    "serial_number": (5110, 8),
    "hardware_version": (5118, 1),
    "model": (5122, 8),
    "firmware_version": (5130, 2),
    "manufacturer": (5132, 10),
}


def read(block: Block, setup: kit.Setup, tries: int = 2) -> kit.Registers:
    """One block; a PRO battery answers as unit 255."""
    return kit.Registers(setup["address"], *block, timeout=0.5, tries=tries, also=(BROADCAST,))


Taken = Callable[[bytes, int, kit.Setup, kit.Values], kit.Values]  # data, its first register


def first_of(
    name: str, blocks: tuple[Block, ...], taken: Taken, patient: bool = True
) -> Callable[[kit.Setup, kit.Values], kit.Talk]:
    """The talk that takes the first of `blocks` which is answered, and asks for that one alone from then on.

    Unless `patient` only a refusal makes it try the next, not silence.
    """
    key = f"_block_{name}"

    def talk(setup: kit.Setup, known: kit.Values) -> kit.Talk:
        problem: Exception = LinkTimeout(f"{name}: no answer")
        for block in [known[key]] if key in known else blocks:
            try:
                frames = yield read(block, setup)
            except LinkTimeout as silence:
                problem = silence
                if not patient:
                    break
            except DeviceRefused as refusal:
                problem = refusal
            else:
                values = taken(frames[0].payload, block[0], setup, known)
                return {**values, key: block, "_answered_as": frames[0].address}
        raise problem

    return talk


def cells(data: bytes, first: int, setup: kit.Setup, known: kit.Values) -> kit.Values:
    """Registers 5000 on: cells and, if they came, their sensors, with counts of their own.  Raises BadLength."""
    count = kit.words(data, 0, 1)[0]
    if not 1 <= count <= MOST_CELLS:
        raise BadLength(f"{count} cells, a Renogy has 1..{MOST_CELLS}")
    volts = tuple(round(raw * 0.1, 1) for raw in kit.words(data, 2, count))
    return {"cell_voltages": volts, **(sensors(data[SENSORS_AT:]) if data[SENSORS_AT:] else {})}


def sensors(data: bytes) -> kit.Values:
    """Registers 5017 on: how many sensors the cells have, and what they say.  Raises BadLength."""
    count = kit.words(data, 0, 1)[0]
    if count > MOST_CELLS:
        raise BadLength(f"{count} sensors, a Renogy has 0..{MOST_CELLS}")
    return {"temperatures": tuple(round(raw * 0.1, 1) for raw in kit.signed_words(data, 2, count))}


def cells_and_sensors(setup: kit.Setup, known: kit.Values) -> kit.Talk:
    """Both in one block, else in two; where nobody answered yet, silence is nobody's (on a port that is searched)."""
    values = yield from first_of("cells", CELL_BLOCKS, cells, patient="_answered_as" in known)(setup, known)
    if "temperatures" not in values:
        with suppress(DeviceRefused):
            values |= sensors((yield read(SENSOR_BLOCK, setup))[0].payload)
    return values


def main(data: bytes, first: int, setup: kit.Setup, known: kit.Values) -> kit.Values:
    """Registers 5042 on, as far as they came.  Raises WrongDevice for a battery without voltage."""
    values = MAIN.read(data)
    if not values["voltage"]:
        raise WrongDevice("register 5043 says 0 V: no battery")
    for table in (CYCLES, LIMITS):
        if len(data) >= table.size:
            values |= table.read(data)
    return values


def states(data: bytes, first: int, setup: kit.Setup, known: kit.Values) -> kit.Values:
    """Registers 5100 on: alarms and switches; a word of zeros says nothing about the switches (sheet section 6)."""
    words = STATES.read(data)
    if len(data) >= CELL_ERRORS.size:
        words |= CELL_ERRORS.read(data)
    status = words["_status_1"]
    return {
        "alarms": alarms(words),
        "charge_allowed": not status or bool(status >> CHARGE_FET & 1),
        "discharge_allowed": not status or bool(status >> DISCHARGE_FET & 1),
        "heating": bool(words["_status_2"] >> HEATER & 1),
    }


def alarms(words: kit.Values) -> dict[str, int]:
    """The highest level of all words that say something."""
    levels = kit.alarm_bits(words["_status_2"], WARNINGS, SUPPORTED)
    for name in paired(words):
        levels[name] = max(levels[name], 1)
    for name, level in kit.alarm_bits(words["_status_1"], PROTECTIONS, SUPPORTED).items():
        levels[name] = max(levels[name], level)
    if words.get("_status_3"):
        levels["internal_failure"] = 2
    return levels


def paired(words: kit.Values) -> list[str]:
    """Alarms of the words that hold two bits an item."""
    found = []
    for word, items in PAIRS.items():
        for item, (low, high) in items.items() if words[word] else ():
            found.append(("", low, high, "internal_failure")[words[word] >> 2 * item & 3])
    return [name for name in found if name]


def temperatures(frames: Sequence[kit.Frame], setup: kit.Setup, known: kit.Values) -> kit.Values:
    """Registers 5035 to 5041: the board's and the ambient sensors; 0 of the board's is none."""
    values = TEMPERATURES.read(frames[0].payload)
    return {
        "mosfet_temperature": values["_board"] or None,
        "ambient_temperature": values["_ambient"] if values["_ambient_sensors"] else None,
    }


def identity(data: bytes, first: int, setup: kit.Setup, known: kit.Values) -> kit.Values:
    """The texts that the block holds."""
    found = {}
    for name, (register, count) in TEXTS.items():
        start, end = 2 * (register - first), 2 * (register - first + count)
        if start >= 0 and end <= len(data):
            found[name] = kit.text(data[start:end])
    return found


def is_pro(values: kit.Values, setup: kit.Setup) -> bool:
    """Of the PRO series: by the setting, else by its model or by replies as unit 255 although another was asked."""
    if setup["variant"] is not None:
        return bool(setup["variant"] == "pro")
    named = (values.get("model") or "").startswith(PRO_MODELS)
    return named or bool(values.get("_answered_as") == BROADCAST != setup["address"])


def finish(values: kit.Values, setup: kit.Setup) -> kit.Values:
    """What depends on the series, and the SoC, which no register holds."""
    pro = is_pro(values, setup)
    if "_current" in values:
        values["current"] = round(values["_current"] * (PRO_STEP if pro else STEP), 2)
    if "_charge_limit" in values and not pro:
        values["max_charge_current"] = values["_charge_limit"]
        values["max_discharge_current"] = abs(values["_discharge_limit"])
    if values.get("capacity"):
        values["soc"] = min(100.0, 100 * values["remaining_capacity"] / values["capacity"])
    if "_cycles" in values:
        values["charge_cycles"] = cycles(values["_cycles"], values.get("model"))
    values["manufacturer"] = values.get("manufacturer") or "Renogy"
    return values


def cycles(raw: int, model: str | None) -> int:
    """Some models send them low byte first."""
    swapped = (raw & 0xFF) << 8 | raw >> 8
    return swapped if model is not None and model.startswith(SWAPPED_CYCLES) else raw


def proof(values: kit.Values) -> str:
    """A model's name, or cells that add up to the voltage within 5 % (sheet section 8)."""
    found, model = values.get("cell_voltages", ()), values.get("model") or ""
    volts = values.get("voltage", 0.0)
    named = model.startswith(("RBT", "RNG"))
    if not named and (len(found) < 3 or abs(sum(found) - volts) > 0.05 * volts):
        raise WrongDevice(f"no Renogy: model {model!r}, {len(found)} cells of {sum(found):.1f} V, {volts:.1f} V in all")
    return f"Renogy {model or 'battery'} with {len(found)} cells"


DRIVER: Final = kit.Driver(
    name="renogy",
    title="Renogy smart lithium batteries",
    transports=("modbus",),
    line=kit.SerialLine(baud=9600, quiet=0.05, turnaround=0.05),
    options=(
        kit.Option("address", BUILT_IN, "unit; 48 and 247 are usual, 255 reaches any", least=1, most=255),
        kit.Option(
            "variant", None, "pro = currents in 0.1 A, standard = in 0.01 A; default: by model and unit of replies",
            kind=str, choices=("standard", "pro"),
        ),
    ),
    plan=(
        kit.Poll(  # first, since the model tells the scale of the current
            "identity", first_of("identity", IDENTITY_BLOCKS, identity), gives=tuple(TEXTS), every=3600.0,
            keep=1_000_000,
        ),
        kit.Poll(
            "main", first_of("main", MAIN_BLOCKS, main), essential=True,
            gives=(
                *MAIN.names, "current", "soc", "charge_cycles", "max_battery_voltage", "min_battery_voltage",
                "max_charge_current", "max_discharge_current",
            ),
        ),
        kit.Poll("cells", cells_and_sensors, gives=("cell_voltages", "temperatures")),
        kit.Poll(
            "states", first_of("states", STATE_BLOCKS, states), keep=0,
            gives=("alarms", "charge_allowed", "discharge_allowed", "heating"),
        ),
        kit.Poll(
            "temperatures", kit.simple(lambda setup, known: read((5035, 7), setup), temperatures),
            gives=("mosfet_temperature", "ambient_temperature"),
        ),
    ),
    secrets=(kit.secrets.registers(range(5110, 5118)),),
    assemble=kit.alone(finish),
    detection=kit.Detection(
        polls=("cells", "main", "identity"),
        proof=proof,
        setups=({"address": BUILT_IN}, {"address": FACTORY}, *({"address": unit} for unit in RENUMBERED)),
    ),
    standing="decoded from captures",
    unseen=(
        "alarms", "ambient_temperature", "hardware_version", "max_battery_voltage", "max_charge_current",
        "max_discharge_current", "min_battery_voltage", "mosfet_temperature",
        "registers beyond 5048 on a line (a print-out does)", "48 V batteries", "a PRO battery's own unit",
    ),
    daisy_chain=True,
    limits_from_bms=True,
    asked_with=kit.unit_asked,
)  # fmt: skip
