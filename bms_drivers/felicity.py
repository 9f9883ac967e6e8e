"""Felicity Solar / FelicityESS LiFePO4 batteries: Modbus RTU over RS485, JSON text over Bluetooth.

Sheet: felicity.md.  Registers are big endian; only the blocks of section 4 are known to be answered.
Current over RS485: positive is discharge.  Over Bluetooth it is taken as it comes: its sign is not proven.
The capacity cannot be read over RS485, the switches not over Bluetooth.
"""

import json
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from bms_drivers import kit
from gateway.model import BadLength, WrongDevice

SLOTS: Final = 16  # cells that there is room for; packs of eight serve them, too
ABSENT, ABSENT_CELL_TEXT, ABSENT_SENSOR_TEXT = 0x7FFF, 65535, 32767
CHARGE, DISCHARGE = 0, 2  # bits of the state
COMMUNICATION: Final = 1  # the only version of the text that is known
HIGHEST_UNIT: Final = 247
MOST: Final = 1e9  # any number in a text is smaller
CELLS_AGREE: Final = 0.05  # of the voltage; so far may the cells' sum be from it
TEXT_TIMEOUT: Final = 5.0  # s; the text comes in some forty notifications

PACK: Final = kit.by_register(  # sheet section 5
    0x1306,
    kit.Field("voltage", 0x1306, "u16", 0.01, "V"),
    kit.Field("current", 0x1307, "i16", -0.1, "A"),
)
LIMITS: Final = kit.by_register(
    0x131C,
    kit.Field("max_battery_voltage", 0x131C, "u16", 0.01, "V"),
    kit.Field("min_battery_voltage", 0x131D, "u16", 0.01, "V"),
    kit.Field("max_charge_current", 0x131E, "u16", 0.1, "A"),
    kit.Field("max_discharge_current", 0x131F, "u16", 0.1, "A"),
)
SOC: Final = kit.by_register(0x130B, kit.Field("soc", 0x130B, "u16", 1, "%"))
BOARD: Final = kit.by_register(0x130A, kit.Field("mosfet_temperature", 0x130A, "i16", 1, "°C"))

FAULTS: Final = {  # register 1304; sheet section 6, others are not known
    2: ("high_cell_voltage", 2),
    3: ("low_cell_voltage", 2),
    4: ("high_charge_current", 2),
    5: ("high_discharge_current", 2),
    6: ("high_internal_temperature", 2),
    8: ("high_charge_temperature", 2),
    9: ("low_charge_temperature", 2),
}
SUPPORTED: Final = kit.alarm_names(FAULTS)

Talking = Callable[[kit.Setup, kit.Values], kit.Talk]


# ---- RS485


def step(name: str, register: int, count: int, decode: kit.Decode, *gives: str, **more: Any) -> kit.Poll:
    """The step that reads one block; nothing is asked where text is spoken."""
    ask = kit.block(register, count)

    def talk(setup: kit.Setup, known: kit.Values) -> kit.Talk:
        if setup["protocol"] == "json":
            return {}
        frames = yield ask(setup, known)
        return decode(frames, setup, known)

    return kit.Poll(name, talk, gives=gives, **more)


def state(frames: Sequence[kit.Frame], setup: kit.Setup, known: kit.Values) -> kit.Values:
    """Registers 1302 to 1304: switches and faults."""
    word, _, faults = kit.words(frames[0].payload, 0, 3)
    return {
        "charge_allowed": bool(word >> CHARGE & 1),
        "discharge_allowed": bool(word >> DISCHARGE & 1),
        "alarms": kit.alarm_bits(faults, FAULTS, SUPPORTED),
    }


def cells(frames: Sequence[kit.Frame], setup: kit.Setup, known: kit.Values) -> kit.Values:
    """Registers 132A to 1339: as many as there are."""
    raws = present(kit.words(frames[0].payload, 0, SLOTS), ABSENT, known.get("_cell_slots", 0))
    volts = tuple(None if raw is None else raw / 1000 for raw in raws)
    return {"cell_voltages": volts, "_cell_slots": len(volts)}


def sensors(frames: Sequence[kit.Frame], setup: kit.Setup, known: kit.Values) -> kit.Values:
    """Registers 1339 to 133D: the first is the last cell's, then come three probes."""
    raws = present(kit.signed_words(frames[0].payload, 2, 3), ABSENT, known.get("_sensor_slots", 0))
    degrees = tuple(None if raw is None else float(raw) for raw in raws)
    return {"temperatures": degrees, "_sensor_slots": len(degrees)}


def present(raws: Sequence[int], absent: int, before: int) -> list[int | None]:
    """Slots up to the last that holds something, or ever did: what falls silent keeps its place."""
    last = max((number for number, raw in enumerate(raws, 1) if raw != absent), default=0)
    return [None if raw == absent else raw for raw in raws[: max(last, before)]]


def firmware(frames: Sequence[kit.Frame], setup: kit.Setup, known: kit.Values) -> kit.Values:
    """A number."""
    return {"firmware_version": str(kit.signed_words(frames[0].payload, 0, 1)[0])}


def serial(frames: Sequence[kit.Frame], setup: kit.Setup, known: kit.Values) -> kit.Values:
    """Five numbers in a row."""
    return {"serial_number": "".join(map(str, kit.words(frames[0].payload, 0, 5)))}


# ---- Bluetooth

BRACE: Final = re.compile(rb"[{}]")


def split_text(buffer: bytearray) -> Iterator[kit.Frame | kit.Dropped]:
    """Take JSON objects off the front: whole when their braces are even and they can be read (sheet section 3)."""
    while (start := buffer.find(b"{")) >= 0:
        if start:
            yield kit.Dropped("noise", bytes(buffer[:start]))
            del buffer[:start]
        end = closing(buffer)
        if not end:
            return
        whole = bytes(buffer[:end])
        if parsed(whole) is None:
            yield kit.Dropped("noise", whole[:1])
            del buffer[0]
            continue
        del buffer[:end]
        yield kit.Frame(kind=0, payload=whole, raw=whole)
    if buffer:
        yield kit.Dropped("noise", bytes(buffer))
        buffer.clear()


def closing(buffer: bytearray) -> int:
    """Where the object that begins at the front ends; 0 = not yet."""
    depth = 0
    for brace in BRACE.finditer(buffer):
        depth += 1 if brace[0] == b"{" else -1
        if not depth:
            return brace.end()
    return 0


def parsed(text: bytes) -> dict[str, Any] | None:
    """The object, None for what is none."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):  # a thousand open brackets are no text of a battery
        return None
    return found if isinstance(found, dict) else None


def content(frames: Sequence[kit.Frame]) -> dict[str, Any]:
    """What the text says.  Raises WrongDevice for another kind of text."""
    found = parsed(frames[0].payload)
    if found is None or found.get("CommVer") != COMMUNICATION:
        raise WrongDevice(f"a Felicity's text has CommVer {COMMUNICATION}, this one does not")
    return found


def text(command: str, holds: bytes, decode: Callable[[dict[str, Any]], kit.Values]) -> Talking:
    """The talk of one command; its answer is known by a name that it `holds`."""
    ask = kit.Ask(
        request=f"wifilocalMonitor:{command}".encode(),
        split=split_text,
        answers=lambda reply: holds in reply.payload,
        timeout=TEXT_TIMEOUT,
        tries=2,
    )

    def talk(setup: kit.Setup, known: kit.Values) -> kit.Talk:
        if setup["protocol"] != "json":
            return {}
        frames = yield ask
        return decode(content(frames))

    return talk


def at(found: Any, *path: str | int, scale: float = 1.0) -> float | None:
    """A number in the text, scaled; None where there is none (null entries occur)."""
    for key in path:
        try:
            found = found[key]
        except (KeyError, IndexError, TypeError):
            return None
    return round(found * scale, 3) if is_number(found) else None


def is_number(found: Any) -> bool:
    """One of a size that a register could have."""
    return isinstance(found, int | float) and not isinstance(found, bool) and abs(found) < MOST


def row(found: Any, name: str, absent: int, scale: float) -> tuple[float | None, ...]:
    """The numbers of the first row up to the last that stands for something; further rows hold no second battery."""
    rows = found.get(name)
    first = rows[0] if isinstance(rows, list) and rows and isinstance(rows[0], list) else []
    raws = present([raw if is_number(raw) else absent for raw in first], absent, 0)
    return tuple(None if raw is None else round(raw * scale, 3) for raw in raws)


def live(found: dict[str, Any]) -> kit.Values:
    """`get dev real infor`.  Raises BadLength without a voltage or cells, and for cells that do not make the voltage:
    the text has no checksum, and a notification that came twice in a list is well-formed."""
    volts, found_cells = at(found, "Batt", 0, 0, scale=0.001), row(found, "BatcelList", ABSENT_CELL_TEXT, 0.001)
    if not volts or not found_cells:
        raise BadLength("a text without voltage (Batt) or cells (BatcelList)")
    total = sum(cell for cell in found_cells if cell is not None)
    if None not in found_cells and abs(total - volts) > CELLS_AGREE * volts:
        raise BadLength(f"{len(found_cells)} cells of {total:.2f} V where the text says {volts:.2f} V; is it whole?")
    soc, capacity = at(found, "BatsocList", 0, 0, scale=0.01), at(found, "BatsocList", 0, 2, scale=0.001)
    known = soc is not None and capacity is not None
    return {
        "voltage": volts,
        "current": at(found, "Batt", 1, 0, scale=0.1),
        "soc": soc,
        "capacity": capacity,
        "remaining_capacity": round(soc * capacity / 100, 3) if known else None,  # type: ignore[operator]
        "cell_voltages": found_cells,
        "temperatures": row(found, "BtemList", ABSENT_SENSOR_TEXT, 0.1),
        "max_battery_voltage": at(found, "BLVolCu", 0, 0, scale=0.1),
        "min_battery_voltage": at(found, "BLVolCu", 0, 1, scale=0.1),
        "max_charge_current": at(found, "BLVolCu", 1, 0, scale=0.1),
        "max_discharge_current": at(found, "BLVolCu", 1, 1, scale=0.1),
        "alarms": {"internal_failure": 2 if found.get("Bfault") else 1 if found.get("Bwarn") else 0},
    }


def about(found: dict[str, Any]) -> kit.Values:
    """`get dev basice infor`."""
    version, number = found.get("M1SwVer"), found.get("DevSN")
    return {
        "firmware_version": None if version is None else str(version),
        "serial_number": None if number is None else str(number),
    }


# ---- both


def proof(values: kit.Values) -> str:
    """Registers far outside other maps answered; cells that add up to the voltage within 5 % (sheet section 8)."""
    found = [cell for cell in values.get("cell_voltages", ()) if cell is not None]
    volts = values.get("voltage", 0.0)
    if len(found) < 3 or abs(sum(found) - volts) > CELLS_AGREE * volts:
        raise WrongDevice(f"no Felicity: {len(found)} cells of {sum(found):.2f} V, {volts:.2f} V in all")
    return f"Felicity {values.get('serial_number') or 'battery'} with {len(found)} cells"


def asked_with(request: bytes) -> kit.Values:
    """Which of both a recorded request speaks, and the unit it asks."""
    return {"protocol": "json"} if request.startswith(b"wifilocal") else kit.unit_asked(request)


DRIVER: Final = kit.Driver(
    name="felicity",
    title="Felicity Solar / FelicityESS",
    transports=("modbus",),
    line=kit.SerialLine(baud=9600, quiet=0.03, turnaround=0.05),
    options=(
        kit.Option("address", 1, "unit", least=1, most=HIGHEST_UNIT),
        kit.Option("protocol", "modbus", "json = the text spoken over Bluetooth", kind=str, choices=("modbus", "json")),
    ),
    plan=(
        step("pack", 0x1306, 2, kit.reads(PACK), *PACK.names, essential=True),
        step("soc", 0x130B, 1, kit.reads(SOC), *SOC.names, essential=True),
        kit.Poll("live", text("get dev real infor", b'"Batt"', live), essential=True),  # Bluetooth: all that changes
        step("state", 0x1302, 3, state, "charge_allowed", "discharge_allowed", "alarms", keep=0),
        step("cells", 0x132A, SLOTS, cells, "cell_voltages"),
        step("limits", 0x131C, 4, kit.reads(LIMITS), *LIMITS.names),
        step("board", 0x130A, 1, kit.reads(BOARD), *BOARD.names),
        step("sensors", 0x1339, 5, sensors, "temperatures"),
        step("firmware", 0xF80B, 1, firmware, "firmware_version", every=kit.ONCE),
        step("serial", 0xF804, 5, serial, "serial_number", every=kit.ONCE),
        kit.Poll("about", text("get dev basice infor", b'"M1SwVer"', about), every=kit.ONCE),
    ),
    secrets=(kit.secrets.registers(range(0xF804, 0xF809)), kit.secrets.pattern(rb'"\w*(?:SN|SSID)" *: *"?([^",}]+)')),
    assemble=kit.alone(manufacturer="Felicity"),
    detection=kit.Detection(polls=("firmware", "serial", "cells", "pack"), proof=proof),
    standing="from documentation only",
    daisy_chain=True,
    limits_from_bms=True,
    asked_with=asked_with,
)  # fmt: skip
