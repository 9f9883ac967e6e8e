"""ECS GreenMeter with LiPro cell modules: Modbus RTU, 19200 baud with EVEN parity.

Sheet: ecs.md.  The GreenMeter (shunt, SoC) and each LiPro (one cell) are units of their own on one line.
16-bit words are big endian, 32-bit numbers low word first.  Current: + = charging.
Values are read one by one: larger blocks are not proven.  The SoC's high word is FFFF while the SoC is below 65.536 %.
"""

import functools
from collections.abc import Mapping, Sequence
from typing import Any, Final

from bms_drivers import kit
from gateway.model import DeviceRefused, Implausible, LinkTimeout, WrongDevice

METERS: Final = {500: "GreenMeter 500 A", 501: "GreenMeter 250 A", 502: "GreenMeter 125 A"}  # id in register 0
MODULES: Final = range(100, 105)  # ids of LiPro modules
HIGHEST_UNIT: Final = 247
VOLTS, EFFORT = 100, 102  # registers of a module
BALANCES_ABOVE: Final = 50  # % of effort
STALE_HIGH_WORD: Final = 0xFFFF  # of the SoC
LIMITS_EVERY: Final = 60.0  # s

CHARGE_STATES: Final = {  # code of register 130 -> alarm; sheet section 6
    1: ("high_voltage", 2),
    2: ("high_charge_current", 1),
    3: ("high_charge_temperature", 1),
    4: ("high_charge_temperature", 1),
    5: ("low_charge_temperature", 1),
    6: ("low_charge_temperature", 1),
}
DISCHARGE_STATES: Final = {  # register 131
    1: ("low_voltage", 2),
    2: ("high_discharge_current", 1),
    3: ("high_temperature", 1),
    4: ("high_temperature", 1),
    5: ("low_temperature", 1),
    6: ("low_temperature", 1),
}
UNKNOWN_STATE: Final = ("internal_failure", 1)  # own choice

block = functools.partial(kit.block, timeout=0.1, tries=2)


@functools.cache
def at(unit: int, register: int) -> kit.Registers:
    """One word of any unit."""
    return kit.Registers(unit, register, 1, timeout=0.1, tries=2)


def number(frames: Sequence[kit.Frame]) -> int:
    """One word."""
    return int.from_bytes(frames[0].payload, "big")


def long_number(frames: Sequence[kit.Frame], signed: bool = False) -> int:
    """Two words, the low one first."""
    data = frames[0].payload
    return int.from_bytes(data[2:4] + data[:2], "big", signed=signed)


def step(name: str, register: int, count: int, decode: kit.Decode, *gives: str, **more: Any) -> kit.Poll:
    """The step that reads one value of the GreenMeter."""
    return kit.Poll(name, kit.simple(block(register, count), decode), gives=gives or (name,), **more)


def milli(name: str, register: int, signed: bool = True, **more: Any) -> kit.Poll:
    """The step that reads a 32-bit number of thousandths."""

    def decode(frames: Sequence[kit.Frame], setup: kit.Setup, known: kit.Values) -> kit.Values:
        return {name: long_number(frames, signed) / 1000}

    return step(name, register, 2, decode, **more)


def small(name: str, register: int, scale: float, *gives: str, **more: Any) -> kit.Poll:
    """The step that reads a signed word."""
    table = kit.Table(">", kit.Field(name, 0, "i16", scale))
    return step(name, register, 1, kit.reads(table), *gives, **more)


def meter(setup: kit.Setup, known: kit.Values) -> kit.Talk:
    """Is a GreenMeter there?  Asked until it was answered once.  Raises WrongDevice."""
    if "model" in known:
        return {"model": known["model"]}
    identity = number((yield at(setup["address"], 0)))
    if identity not in METERS:
        raise WrongDevice(f"register 0 says {identity}, a GreenMeter says one of {', '.join(map(str, METERS))}")
    return {"model": METERS[identity]}


def modules(setup: kit.Setup, known: kit.Values) -> kit.Talk:
    """Units of the LiPro modules, looked for once: up to the last address, or to the first that is silent.

    Raises LinkTimeout when there is none, Implausible when there are not as many as the user has.
    """
    if "_modules" in known:
        return {"_modules": known["_modules"]}
    first, last = setup["lipro_start_address"], setup["lipro_end_address"]
    found: list[int] = []
    for unit in range(first, (last or HIGHEST_UNIT) + 1):
        try:
            identity = number((yield at(unit, 0)))
        except LinkTimeout:
            if last is None:
                break
        except DeviceRefused:
            continue  # somebody is there, but no module
        else:
            found += [unit] if identity in MODULES else []
    if not found:
        raise LinkTimeout(f"no LiPro module answers from unit {first} on")
    if setup["lipro_cell_count"] not in (None, len(found)):
        units = ", ".join(map(str, found))
        raise Implausible("LiPro modules", f"{len(found)} (units {units})", f"{setup['lipro_cell_count']} of them")
    return {"_modules": tuple(found)}


def cells(setup: kit.Setup, known: kit.Values) -> kit.Talk:
    """Voltage and balancing of each module; one that is silent now, or lacks the register, keeps its place."""
    units: tuple[int, ...] = known.get("_modules", ())
    if not units:
        raise LinkTimeout("the cells cannot be asked for before their modules are known")
    volts: list[float | None] = []
    efforts: list[int | None] = []
    for unit in units:
        try:
            volts.append(number((yield at(unit, VOLTS))) / 1000)
            efforts.append(number((yield at(unit, EFFORT))))
        except (LinkTimeout, DeviceRefused):
            volts += [None] * (len(efforts) + 1 - len(volts))
            efforts.append(None)
    return {"cell_voltages": tuple(volts), **balancing(efforts)}


def balancing(efforts: Sequence[int | None]) -> kit.Values:
    """By the modules' efforts [%]; a list with a gap would name the wrong cells."""
    working = [effort > BALANCES_ABOVE for effort in efforts if effort is not None]
    whole = len(working) == len(efforts)
    return {
        "cell_balancing": tuple(working) if whole else (),
        "balancing": any(working) if whole or any(working) else None,
    }


def soc(frames: Sequence[kit.Frame], setup: kit.Setup, known: kit.Values) -> kit.Values:
    """Thousandths of a percent; the high word counts only where it is one (sheet section 9)."""
    low, high = kit.words(frames[0].payload, 0, 2)
    return {"soc": (low if high == STALE_HIGH_WORD else high << 16 | low) / 1000}


def state(name: str, allowed: str, codes: Mapping[int, tuple[str, int]]) -> kit.Decode:
    """What a side's state code means; any but 0 stops it."""
    supported = dict.fromkeys([*(alarm for alarm, _ in codes.values()), UNKNOWN_STATE[0]], 0)

    def decode(frames: Sequence[kit.Frame], setup: kit.Setup, known: kit.Values) -> kit.Values:
        code, levels = number(frames), dict(supported)
        if code:
            alarm, level = codes.get(code, UNKNOWN_STATE)
            levels[alarm] = level
        return {allowed: not code, name: levels}

    return decode


def serial(frames: Sequence[kit.Frame], setup: kit.Setup, known: kit.Values) -> kit.Values:
    """A number."""
    return {"serial_number": str(long_number(frames))}


def finish(values: kit.Values, setup: kit.Setup) -> kit.Values:
    """Both sides' alarms, both sensors, limits without their signs; while a side is missing the other's 0 ends none."""
    sides = [values[name] for name in ("_charge_alarms", "_discharge_alarms") if name in values]
    values["alarms"] = {name: max(side.get(name, 0) for side in sides) for side in sides for name in side}
    if len(sides) < 2 and not values["alarms"].get(UNKNOWN_STATE[0]):
        values["alarms"].pop(UNKNOWN_STATE[0], None)
    if "_temperature_1" in values or "_temperature_2" in values:
        values["temperatures"] = (values.get("_temperature_1"), values.get("_temperature_2"))
    for name in ("charge", "discharge"):
        if f"_{name}_limit" in values:
            values[f"max_{name}_current"] = float(abs(values[f"_{name}_limit"]))
    if "soc" in values and "capacity" in values:
        values["remaining_capacity"] = round(values["soc"] * values["capacity"] / 100, 3)
    return values


def proof(values: kit.Values) -> str:
    """The id of a GreenMeter, on a line with even parity (sheet section 8)."""
    if "model" not in values:
        raise WrongDevice("no GreenMeter")
    return f"ECS {values['model']} with {len(values.get('_modules', ()))} cells"


DRIVER: Final = kit.Driver(
    name="ecs",
    title="ECS GreenMeter with LiPro modules",
    transports=("modbus",),
    line=kit.SerialLine(baud=19200, quiet=0.005, turnaround=0.005, parity="E"),
    options=(
        kit.Option("address", 1, "unit of the GreenMeter", least=1, most=HIGHEST_UNIT),
        kit.Option("lipro_start_address", 2, "unit of the first LiPro module", least=1, most=HIGHEST_UNIT),
        kit.Option(
            "lipro_end_address", None, "unit of the last one; default: up to the first unit that is silent",
            least=1, most=HIGHEST_UNIT,
        ),
        kit.Option(
            "lipro_cell_count", None, "how many modules there are; the battery is not read with any other number",
            least=1, most=200,
        ),
    ),
    plan=(
        kit.Poll("meter", meter, gives=("model",), essential=True),
        kit.Poll("modules", modules, essential=True),
        milli("voltage", 108, essential=True),
        milli("current", 114, essential=True),
        step("soc", 128, 2, soc, essential=True),
        step(
            "charge_state", 130, 1, state("_charge_alarms", "charge_allowed", CHARGE_STATES),
            "charge_allowed", "alarms", keep=0,
        ),
        step(
            "discharge_state", 131, 1, state("_discharge_alarms", "discharge_allowed", DISCHARGE_STATES),
            "discharge_allowed", keep=0,
        ),
        kit.Poll("cells", cells, gives=("cell_voltages", "cell_balancing", "balancing")),
        small("_temperature_1", 102, 0.01, "temperatures"),
        small("_temperature_2", 103, 0.01, "temperatures"),
        small("_discharge_limit", 30, 1, "max_discharge_current", every=LIMITS_EVERY, keep=10),
        small("_charge_limit", 31, 1, "max_charge_current", every=LIMITS_EVERY, keep=10),
        milli("capacity", 46, signed=False, every=LIMITS_EVERY, keep=10),
        step("serial_number", 2, 2, serial, every=kit.ONCE),
    ),
    secrets=(kit.secrets.registers(range(2, 4)),),
    assemble=kit.alone(finish, manufacturer="ECS"),
    detection=kit.Detection(polls=("meter", "modules"), proof=proof),
    standing="from documentation only (one other reader, no capture is public)",
    unseen=("the sign of the current least of all",),
    limits_from_bms=True,
    asked_with=kit.unit_asked,
)  # fmt: skip
