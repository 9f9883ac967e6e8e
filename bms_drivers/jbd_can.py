"""JBD UP16S rack packs on a CAN bus, profile "Victron": the master speaks for the whole bank, nobody asks.

Sheet: jbd_can.md; frames: dbc/jbd_can.dbc.  Current: + = charging.  No single cells; RS485 (`jbd_up16s`) tells more.
"""

from typing import Final

import dbc
from bms_drivers import kit
from bms_drivers.kit import can, named
from gateway.model import WrongDevice

FRAMES: Final = can.Dbc(dbc.path("jbd_can"))
LIFE: Final = 5.0  # s; the period is about 1 s, not measured
SETTLE: Final = 2.5  # s
SAME: Final = 1.0  # %; the fine SoC counts while it is so near to the coarse one
DUMMY: Final = "JBD87654321"  # serial number of the factory, no identity
EVEN: Final = 0.05  # V between highest and lowest cell, so that their mean says how many there are
WHOLE: Final = 0.1  # cells; how near to a whole number that must come


def step(name: str, *messages: str, essential: bool = False, gives: tuple[str, ...] = ()) -> kit.Poll:
    """Messages that are sent about once a second."""
    return can.heard(FRAMES, name, *messages, essential=essential, life=LIFE, settle=SETTLE, gives=gives)


def finish(values: kit.Values, setup: kit.Setup) -> kit.Values:
    """The finer SoC, joined texts, and the number of cells where it is beyond doubt."""
    values["soc"] = soc(values.get("_soc"), values.get("_fine_soc"))
    values["temperatures"] = temperatures(values)
    values["cell_count"] = counted(values)
    if values.get("capacity") is None:
        values["capacity"] = values.get("_capacity")  # 35F, which some boards fill
    serial = f"{shown(values.get('_serial_1'))}{shown(values.get('_serial_2'))}"
    values["serial_number"] = serial if serial and serial != DUMMY else None
    values["model"] = f"{values.get('model') or ''}{shown(values.get('_model'))}" or None
    if values.get("_firmware") is not None:
        values["firmware_version"] = f"{int(values['_firmware']):04X}"
    return values


def soc(coarse: float | None, fine: float | None) -> float | None:
    """%; the fine one while it is near to the coarse one."""
    near = coarse is not None and fine is not None and abs(fine - coarse) <= SAME
    return fine if near else coarse


def temperatures(values: kit.Values) -> tuple[float, ...]:
    """Coldest and hottest of all sensors of the bank, else the one of the measurements."""
    both = tuple(values.get(name) for name in ("_coldest", "_hottest"))
    found = both if None not in both else (values.get("_temperature_1"),)
    return tuple(t for t in found if t is not None)


def counted(values: kit.Values) -> int | None:
    """Cells in series, from the pack and the mean of its extremes."""
    high, low, volts = (values.get(name) for name in ("highest_cell_voltage", "lowest_cell_voltage", "voltage"))
    if not high or not low or not volts or high - low > EVEN:
        return None
    count = volts / ((high + low) / 2)
    return round(count) if abs(count - round(count)) <= WHOLE else None


def shown(raw: float | None) -> str:
    """Eight bytes as text."""
    return "" if raw is None else kit.text(int(raw).to_bytes(8, "little")) or ""


def proof(values: kit.Values) -> str:
    """Its name: the frames are those of any BMS that talks to Victron's inverters (sheet section 8)."""
    named = f"{values.get('manufacturer') or ''} {values.get('model') or ''}"
    if "JBD" not in named and "UP16S" not in named:
        raise WrongDevice(f"a JBD says so in 35E or 370, this BMS says {named.strip() or 'nothing'!r}")
    return f"JBD on CAN, {named.strip()}, {values.get('voltage')} V"


DRIVER: Final = kit.Driver(
    name="jbd_can",
    title="JBD UP16S on a CAN bus (Victron profile)",
    frames=FRAMES,
    transports=("can",),
    plan=(
        step("measured", "Measured", essential=True, gives=("temperatures",)),
        step("charge", "Charge", gives=("soc",)),
        step("limits", "Limits"),
        step("extremes", "Extremes", gives=("temperatures", "cell_count")),
        step("alarms", "Alarms"),
        step("capacity", "Capacity"),
        step("maker", "Maker"),
        step("model", "Model_1", "Model_2"),
        step("serial", "Serial_1", "Serial_2", gives=("serial_number",)),
        step("board", "Board", gives=("firmware_version", "capacity")),
    ),
    secrets=(kit.secrets.identifiers(0x380, 0x381),),  # Serial_1, Serial_2
    assemble=kit.alone(lambda values, setup: finish(named.gathered(values, ()), setup)),
    detection=kit.Detection(rank=95, polls=("measured", "maker", "model"), proof=proof, never_auto=True),
    limits_from_bms=True,
    standing="from documentation only (no capture is public)",
    unseen=("whether the board sets its alarm bits",),
)
