"""Valence U-BMS with its modules on a CAN bus: it sends by itself as long as it is told once a second to stay on.

Sheet: ubms_can.md; frames: dbc/ubms_can.dbc.  Modules 1..S are the first string.  Current: + = charging.
"""

from typing import Final

import dbc
from bms_drivers import kit
from bms_drivers.kit import can
from gateway.model import BadLength, ConfigError, WrongDevice

FRAMES: Final = can.Dbc(dbc.path("ubms_can"))
KEEP_ALIVE: Final = kit.CanId(0x440)
MODES: Final = {"standby": 0, "charge": 1, "drive": 2}
STATE: Final = FRAMES.messages["State"]
MODULES: Final = 11  # that have identifiers for their cells
LIMITS: Final = ("max_charge_current", "max_discharge_current")


def alive(setup: kit.Setup, known: kit.Values) -> kit.Talk:
    """Tell it to stay in the mode that is set; without that it opens its contactor after 20 s (sheet section 2)."""
    data = bytes((0, MODES[setup["mode"]], 0, 0))
    yield kit.CanAsk((STATE.at(),), life=2.0, settle=1.0, sends=((KEEP_ALIVE, data),), awaits=False)
    return {"_alive": True}


def cells(setup: kit.Setup, known: kit.Values) -> kit.Talk:
    """Two frames a module; all of them, or no cell is known."""
    count: int = setup["cells_per_module"]
    told = [FRAMES.messages[f"Module_{n}_{part}"] for n in range(1, modules(setup) + 1) for part in "ab"]
    frames = yield kit.CanAsk(tuple(message.at() for message in told), life=told[0].life, settle=2.5)
    said = {frame.kind: frame.payload for frame in frames}
    volts: list[float | None] = []
    for a, b in zip(told[::2], told[1::2], strict=True):
        values = FRAMES.values(a.name, said[a.kind]) | FRAMES.values(b.name, said[b.kind])
        volts += [values.get(f"_cell_{cell}") for cell in range(1, count + 1)]
    return {"cell_voltages": tuple(volts)}


def modules(setup: kit.Setup) -> int:
    """How many modules there are."""
    return int(setup["modules_series"]) * int(setup["modules_parallel"])


def possible(setup: kit.Setup, read: None = None) -> kit.Driver:
    """This driver.  Raises ConfigError for more modules than there can be."""
    if modules(setup) > MODULES:
        raise ConfigError(f"modules_series x modules_parallel is {modules(setup)}, expected {MODULES} modules at most")
    return DRIVER


def balancing(setup: kit.Setup, known: kit.Values) -> kit.Talk:
    """A clear bit is a cell that is balanced; the second frame is for modules from 8 on."""
    names = ("Balance_1", "Balance_2")[: 1 if modules(setup) < 8 else 2]
    told = [FRAMES.messages[name] for name in names]
    ids = tuple(message.at() for message in told)
    frames = yield kit.CanAsk(ids, life=told[0].life, settle=5.0)
    values = can.values_of(FRAMES, told, ids, frames)
    told_of = [values.get(f"_clear_{n}") for n in range(1, modules(setup) + 1)]
    words = [int(word) for word in told_of if word is not None]
    if len(words) < len(told_of):
        raise BadLength("26A, 26B: shorter than there are modules")
    return {
        "cell_balancing": tuple(not word >> cell & 1 for word in words for cell in range(setup["cells_per_module"]))
    }


def finish(values: kit.Values, setup: kit.Setup) -> kit.Values:
    """Voltage of the first string, limits and switches by the mode."""
    values["cell_count"] = count = setup["cells_per_module"] * setup["modules_series"]
    first = values.get("cell_voltages", ())[:count]
    if first and None not in first:
        values["voltage"] = round(sum(first), 3)
    if setup["module_capacity"] is not None:
        values["capacity"] = setup["module_capacity"] * setup["modules_parallel"]
    values |= switches(values.get("_mode"), values.get("_shut_down"))
    if values.get("_mode") == MODES["drive"] and values.get("_discharge_limit") is not None:
        values["max_discharge_current"] = values["_discharge_limit"]
    low, high = values.get("_charge_limit_low"), values.get("_charge_limit_high")
    if values.get("_mode") == MODES["drive"] and low is not None and high is not None:
        values["max_charge_current"] = round((low + 256 * high) / 10, 1)
    for name, key in (("firmware_version", "_firmware"), ("hardware_version", "_hardware")):
        values[name] = None if values.get(key) is None else f"{values[key]:g}"
    return values


def switches(mode: float | None, shut_down: float | None) -> kit.Values:
    """The contactor, by mode and reason of a shut-down (sheet section 7)."""
    if mode is None or shut_down is None:
        return {}
    return {
        "charge_allowed": not shut_down and mode in (MODES["charge"], MODES["drive"]),
        "discharge_allowed": not shut_down and mode == MODES["drive"],
    }


def proof(values: kit.Values) -> str:
    """Its state, versions and extremes, which must fit each other (sheet section 8)."""
    high, low = values.get("highest_cell_voltage"), values.get("lowest_cell_voltage")
    if values.get("soc") is None or "_boot" not in values or not high or not low or not 1.0 <= low <= high:
        raise WrongDevice("a U-BMS sends 0C0, 0C4 and 180 with plausible values, this bus does not")
    return f"Valence U-BMS with {values['_modules']} modules"


DRIVER: Final = kit.Driver(
    name="ubms_can",
    title="Valence U-BMS on a CAN bus",
    frames=FRAMES,
    transports=("can",),
    intervals=(0.0, 5.0),  # each round keeps it awake for 20 s; some may be lost
    options=(
        kit.Option("modules_series", 1, "modules in series", least=1, most=11),
        kit.Option("modules_parallel", 1, "strings of modules in parallel", least=1, most=11),
        kit.Option("cells_per_module", 4, "cells in a module", choices=(4, 6)),
        kit.Option("module_capacity", None, "Ah of a module, 130 for U27-12XP; it does not tell", float, 1, 1000),
        kit.Option("mode", "drive", "what it is kept in; drive closes the contactor", str, choices=tuple(MODES)),
    ),
    plan=(
        can.heard(FRAMES, "state", "State", gives=("charge_allowed", "discharge_allowed")),
        kit.Poll("alive", alive, keep=0),
        can.heard(FRAMES, "currents", "Currents", essential=True, gives=LIMITS),
        can.heard(FRAMES, "temperatures", "Temperatures"),
        kit.Poll("cells", cells, gives=("cell_voltages", "voltage", "cell_count"), keep=0),
        kit.Poll("balancing", balancing, gives=("cell_balancing",), keep=0),
        can.heard(FRAMES, "versions", "Versions", gives=("firmware_version", "hardware_version")),
    ),
    assemble=can.assemble(FRAMES, finish),
    detection=kit.Detection(rank=7, polls=("state", "temperatures", "versions"), proof=proof, never_auto=True),
    limits_from_bms=True,
    made_of=possible,
    unseen=("alarms", "the scale of the charge limit"),
)  # fmt: skip
