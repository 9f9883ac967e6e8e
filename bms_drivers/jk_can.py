"""JK BMS on a CAN bus, protocols 000 (250 kbit/s) and 006 (500 kbit/s), V1 to V2.1: it sends, nobody asks.

Sheet: jk_can.md; frames: dbc/jk_can.dbc.  Every identifier plus the BMS's address.  Current: + = charging.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import dbc
from bms_drivers import kit
from bms_drivers.kit import can, named
from gateway.model import Implausible, LinkTimeout, WrongDevice, worst

FRAMES: Final = can.Dbc(dbc.path("jk_can"))
ADDRESSES: Final = range(16)
LEVELS: Final = (0, 2, 2, 1)  # the vendor's 1 is the most serious; sheet section 6
ALARM_LIFE: Final = 3.0  # s; the frame is sent only while an alarm stands
CELLS_A_FRAME: Final = 4
CELL_FRAMES: Final = tuple(FRAMES.messages[f"CELLVOL_{k}"] for k in range(7))
SUM_AGREES: Final = 0.035  # share of the pack voltage; the least that a missing frame takes is 0.04
EVEN: Final = 0.05  # V between highest and lowest cell, so that their mean says how many there are
WHOLE: Final = 0.1  # cells; how near to a whole number that must come
MOSFET_SENSOR: Final = 3


def address(setup: kit.Setup) -> int:
    """What is added to every identifier: added, it does not replace a digit (sheet section 2)."""
    return int(setup["address"])


def alarm_of(signal: str) -> str:
    """The alarm that a signal of the vendor's levels, or of the fault bits, is about."""
    return named.alarm(signal.replace("_vendor_", "level_"))[1]


ALARM_FRAMES: Final = tuple(FRAMES.messages[name] for name in ("ALM_INFO", "BMSERR_INFO"))
VENDOR: Final = {signal: alarm_of(signal) for signal in ALARM_FRAMES[0].signals if "_vendor_" in signal}
SUPPORTED: Final = tuple(filter(None, (alarm_of(signal) for frame in ALARM_FRAMES for signal in frame.signals)))


def alarms(setup: kit.Setup, known: kit.Values) -> kit.Talk:
    """Both frames of alarms, of which one is there on V2 only and the other only while something is wrong."""
    ids = tuple(message.at(address(setup)) for message in ALARM_FRAMES)
    state = FRAMES.messages["BATT_ST1"].at(address(setup))  # proves that it would be heard
    frames = yield kit.CanAsk((*ids, state), ALARM_LIFE, settle=0.3, complete=lambda got: False, partial=True)
    if not any(state.fits(frame.kind) for frame in frames):
        raise LinkTimeout("no BATT_ST1, so no alarms are known either")
    values = can.values_of(FRAMES, ALARM_FRAMES, ids, frames)
    said = [{VENDOR[key]: LEVELS[int(value)]} for key, value in values.items() if key in VENDOR and value is not None]
    levels = worst((dict.fromkeys(SUPPORTED, 0), *said))
    return {"alarms": levels, **{key: value for key, value in values.items() if key not in VENDOR}}


def cells(setup: kit.Setup, known: kit.Values) -> kit.Talk:
    """Four cells a frame; which frame is the last tells only the pack voltage.  Raises LinkTimeout, Implausible."""
    ids = tuple(message.at(address(setup)) for message in CELL_FRAMES)
    volts: float = known.get("_pack_voltage") or 0.0

    def all_there(frames: Sequence[kit.Frame]) -> bool:
        return volts > 0 and agree(sum(listed(frames, ids)), volts)

    frames = yield kit.CanAsk(ids, life=3.0, settle=2.2, complete=all_there, partial=True)
    found = listed(frames, ids)
    if volts and not agree(sum(found), volts):
        raise Implausible("sum of cells", round(sum(found), 2), f"{volts} V as the pack says; is a frame missing?")
    if not found:
        raise LinkTimeout("no cell frames")
    return {"cell_voltages": found}


def listed(frames: Sequence[kit.Frame], ids: Sequence[kit.CanId]) -> tuple[float, ...]:
    """The cells of frames that follow one another; none where one is missing below the highest."""
    said = {frame.kind: frame.payload for frame in frames}
    volts: list[float] = []
    for message, wanted in zip(CELL_FRAMES, ids, strict=True):
        told = FRAMES.values(message.name, said[wanted.kind]) if wanted.kind in said else {}
        volts += [told.get(signal) or 0.0 for signal in message.signals]
    while volts and not volts[-1]:
        volts.pop()
    return () if 0.0 in volts else tuple(volts)


def agree(total: float, volts: float) -> bool:
    """Do the cells add up to the pack?"""
    return abs(total - volts) <= SUM_AGREES * volts


def request(setup: kit.Setup, known: kit.Values) -> kit.Talk:
    """What it asks a charger for; anybody's, where another JK is on the bus (sheet section 5)."""
    told = FRAMES.messages["BMSCHG_INFO"]
    mine = (told.at(), told.at(address(setup))) if address(setup) else (told.at(),)
    others = tuple(FRAMES.messages["BATT_ST1"].at(n) for n in ADDRESSES if n != address(setup))
    frames = yield kit.CanAsk((*mine, *others), told.life, settle=1.5, complete=lambda got: False, partial=True)
    if any(other.fits(frame.kind) for other in others for frame in frames):
        return {}  # whose it is cannot be told, however often it is asked
    values = can.values_of(FRAMES, (told,) * len(mine), mine, frames)
    if not values:
        raise LinkTimeout("no charge request")
    if values["_stop"] is None:
        values["max_charge_current"] = None
    elif values["_stop"]:
        values["max_charge_current"] = 0.0
    return values


def finish(values: kit.Values, setup: kit.Setup) -> kit.Values:
    """The sum of the cells is the better voltage; V1 boards have no cells, and two temperatures."""
    if setup["invert_current"] and values.get("current") is not None:
        values["current"] = -values["current"] + 0.0
    if volts := values.get("cell_voltages"):
        values["voltage"] = round(sum(volts), 3)
    else:
        values["cell_count"] = setup["cells"] or counted(values)
    values["temperatures"] = temperatures(values)
    if int(values.get("_fitted") or 0) >> MOSFET_SENSOR - 1 & 1:
        values["mosfet_temperature"] = values.get(f"_t{MOSFET_SENSOR}")
    if "alarms" in values and (values.get("current") or 0.0) > 0:
        values["alarms"] = while_charging(values["alarms"])
    return values


def while_charging(levels: Mapping[str, int]) -> dict[str, int]:
    """Its alarms of temperature do not say of which direction they are (sheet section 6)."""
    return worst(
        (levels, {f"{end}_charge_temperature": levels.get(f"{end}_temperature", 0) for end in ("high", "low")})
    )


def counted(values: kit.Values) -> int | None:
    """How many cells a V1 board has, where that is beyond doubt; else `cells` must say it."""
    high, low, volts = (values.get(name) for name in ("highest_cell_voltage", "lowest_cell_voltage", "voltage"))
    if not high or not low or not volts or high - low > EVEN:
        return None
    count = volts / ((high + low) / 2)
    return round(count) if abs(count - round(count)) <= WHOLE else None


def temperatures(values: kit.Values) -> tuple[float, ...]:
    """Of the battery's sensors; V1: highest and lowest, in order of their numbers."""
    fitted = int(values.get("_fitted") or 0)
    numbers = [n for n in (1, 2, 4, 5) if fitted >> n - 1 & 1]
    if several := tuple(values[f"_t{n}"] for n in numbers if values.get(f"_t{n}") is not None):
        return several
    both = [(values.get(f"_{end}_sensor"), values.get(f"_{end}")) for end in ("hottest", "coldest")]
    return tuple(t for _, t in sorted((n, t) for n, t in both if n is not None and t is not None))


def state(setup: kit.Setup, known: kit.Values) -> kit.Talk:
    """Voltage, current and SoC, fifty times a second."""
    values = yield from can.heard(FRAMES, "BATT_ST1", shift=address, life=2.0).talk(setup, known)
    return {**values, "_pack_voltage": values.get("voltage")}


def proof(values: kit.Values) -> str:
    """The three frames that every version sends, with contents that can be (sheet section 8)."""
    high, low = values.get("highest_cell_voltage"), values.get("lowest_cell_voltage")
    known = None not in (values.get("soc"), values.get("current"), values.get("voltage"), values.get("_hottest"))
    if not known or not high or not low or not 1.0 <= low <= high <= 5.0:
        raise WrongDevice("a JK sends 2F4, 4F4 and 5F4 with plausible values, this bus does not")
    return f"JK on CAN, {values['voltage']} V, {values['soc']} %"


DRIVER: Final = kit.Driver(
    name="jk_can",
    title="JK BMS on a CAN bus",
    transports=("can",),
    options=(
        kit.Option("address", 0, "as set with the DIP switches or the app", least=0, most=15),
        kit.Option("cells", None, "in series; only for V1 boards, which do not tell", least=1, most=32),
        kit.Option("invert_current", False, "true = above zero is discharging, as the V1 paper has it", kind=bool),
    ),
    plan=(
        kit.Poll("BATT_ST1", state, gives=("voltage", "current", "soc"), essential=True, keep=0),
        can.heard(FRAMES, "CELL_VOLT", shift=address, life=2.0),
        kit.Poll("cells", cells, gives=("cell_voltages",), keep=0),
        can.heard(FRAMES, "CELL_TEMP", shift=address, gives=("temperatures",), life=3.0),
        can.heard(FRAMES, "ALL_TEMP", shift=address, gives=("temperatures", "mosfet_temperature"), life=3.0),
        can.heard(FRAMES, "BMSSW_STA", shift=address, life=3.0),
        kit.Poll("alarms", alarms, gives=("alarms",), keep=0),
        can.heard(FRAMES, "BATT_ST2", shift=address, life=5.0),
        can.heard(FRAMES, "BMS_INFO", shift=address, life=5.0),
        kit.Poll("request", request, gives=FRAMES.messages["BMSCHG_INFO"].gives, keep=0),
    ),
    assemble=kit.alone(lambda values, setup: finish(named.gathered(values, ()), setup), manufacturer="JK"),
    detection=kit.Detection(
        rank=5, polls=("BATT_ST1", "CELL_VOLT", "CELL_TEMP"), proof=proof, setups=({}, {"address": 1}),
        siblings=tuple({"address": n} for n in ADDRESSES[2:]),
    ),
    daisy_chain=True,
    unseen=(
        "alarms", "balancing", "cell_voltages", "charge_allowed", "discharge_allowed", "heating", "max_battery_voltage",
        "max_charge_current", "mosfet_temperature", "soh", "the sign of the current on V1 boards",
    ),
)  # fmt: skip
