"""PACE BMS (P8S..P16S, 50 to 200 A; vendor tool PBmsTools) over RS232 or RS485: frames of hex text, or PACE Modbus.

Sheet: pace.md.  All integers big endian.  Current: + = charging.  A master answers for its slaves: with `pack: 255` (or
`address: all`) each of them becomes a battery of its own.  Where a reply carries the SoC as a whole number it is
preferred to the computed one: section 5 would have it the other way, the captured vectors have it so.
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import chain, pairwise
from typing import Any, Final

from bms_drivers import kit
from gateway.model import BadLength, DeviceRefused, Reading, WrongDevice

VERSION: Final = 0x25
COUNT, ANALOG, STATE, SOFTWARE, PRODUCT = 0x90, 0x42, 0x44, 0xC1, 0xC2  # CID2
ALL: Final = 0xFF  # as pack: all of them; as address: any
MASTER: Final = 1  # its usual address
CODES: Final = {**kit.RETURN_CODES, 9: "refused"}
MOST_CELLS, MOST_PACKS = 24, 16
LONGEST_MORE: Final = {ANALOG: 20, STATE: 2}  # bytes that may follow the known fields of a record
SOC_AGREES: Final = 5.0  # %; a byte further away from remaining / full is not the SoC
SENSORS_WITH_ROLES: Final = 6  # from so many on, the fifth is the MOSFET's, the sixth the surroundings'
SPLIT: Final = kit.hex_splitter()

ANALOG_RECORD: Final = kit.Walk(  # sheet section 5
    ">",
    kit.Next("cell_voltages", "u16", 0.001, "V", counted=True),
    kit.Next("_sensors", "u16", 0.1, "°C", -2730, counted=True),
    kit.Next("current", "i16", 0.01, "A"),
    kit.Next("voltage", "u16", 0.001, "V"),
    kit.Next("remaining_capacity", "u16", 0.01, "Ah"),
    kit.Next("_p", "u8"),  # no count: differs between packs of one frame
    kit.Next("capacity", "u16", 0.01, "Ah"),
    kit.Next("charge_cycles", "u16"),
    kit.Next("_design", "u16", 0.01, "Ah"),
)
BLOCK: Final = tuple(f"_byte{n}" for n in range(9))  # protect 1, 2, status, control, fault, balance 1, 2, warn 1, 2
STATE_RECORD: Final = kit.Walk(
    ">",
    kit.Next("_cell_codes", "u8", counted=True),
    kit.Next("_sensor_codes", "u8", counted=True),
    *(kit.Next(f"_code{n}", "u8") for n in range(3)),
    *(kit.Next(name, "u8") for name in BLOCK),
)
RECORDS: Final = {ANALOG: ANALOG_RECORD, STATE: STATE_RECORD}

TRIP_POINTS: Final = {  # settings command: what its protection value is, and its scale; section 5
    0xD1: ("cell_overvoltage_protection", 0.001),
    0xD3: ("cell_undervoltage_protection", 0.001),
    0xD5: ("max_battery_voltage", 0.001),
    0xD7: ("min_battery_voltage", 0.001),
    0xD9: ("max_charge_current", 1),
    0xDB: ("max_discharge_current", 1),  # below zero on reading
}

MODBUS_PACK: Final = kit.Table(  # registers 0..12; section 5, "PACE Modbus"
    ">",
    kit.Field("current", 0, "i16", 0.01, "A"),
    kit.Field("voltage", 2, "u16", 0.01, "V"),
    kit.Field("soc", 4, "u16", 1, "%"),
    kit.Field("soh", 6, "u16", 1, "%"),
    kit.Field("remaining_capacity", 8, "u16", 0.01, "Ah"),
    kit.Field("capacity", 10, "u16", 0.01, "Ah"),
    kit.Field("charge_cycles", 14, "u16"),
    kit.Field("_warnings", 18, "u16"),
    kit.Field("_protections", 20, "u16"),
    kit.Field("_status", 22, "u16"),
    kit.Field("_balance", 24, "u16"),
)
MODBUS_CELLS, MODBUS_SENSORS = 16, 6
MODBUS_TRIPS: Final = kit.by_register(
    60,
    kit.Field("max_battery_voltage", 61, "u16", 0.001, "V"),
    kit.Field("cell_overvoltage_protection", 65, "u16", 0.001, "V"),
    kit.Field("min_battery_voltage", 69, "u16", 0.001, "V"),
    kit.Field("cell_undervoltage_protection", 73, "u16", 0.001, "V"),
    kit.Field("max_charge_current", 77, "u16", 1, "A"),
    kit.Field("max_discharge_current", 80, "i16", 1, "A"),
)
MODBUS_TEXTS: Final = {"firmware_version": 150, "serial_number": 160}  # 20 characters each


def row(level: int, *names: str) -> dict[int, tuple[str, int]]:
    """Alarms of one level, from bit 0 on; "" is none."""
    return {bit: (name, level) for bit, name in enumerate(names) if name}


MEASURED: Final = (
    "high_cell_voltage", "low_cell_voltage", "high_voltage", "low_voltage", "high_charge_current",
    "high_discharge_current",
)  # fmt: skip
HOT_OR_COLD: Final = ("high_charge_temperature", "high_temperature", "low_charge_temperature", "low_temperature")
ALARMS: Final = kit.alarm_rows(  # by byte of BLOCK; section 6.  The second bytes order MOSFET and surroundings unlike
    {
        0: row(2, *MEASURED, "short_circuit", "high_voltage"),
        1: row(2, *HOT_OR_COLD, "high_internal_temperature", "high_temperature", "low_temperature"),
        4: dict.fromkeys((0, 1, 2, 4, 5), ("internal_failure", 2)),
        7: row(1, *MEASURED),
        8: row(1, *HOT_OR_COLD, "high_temperature", "low_temperature", "high_internal_temperature", "low_soc"),
    }
)
SUPPORTED: Final = kit.alarm_names(ALARMS)

Shape = Callable[[bytes], bool]
Packs = dict[int, kit.Values]


# ---- asking


def place(setup: kit.Setup) -> tuple[int, int]:
    """Address and pack to be asked; "all" = each pack behind the master.  Address 0 may be any pack's number."""
    if setup["address"] == "all":
        return MASTER, ALL
    address: int = setup["address"]
    pack: int | None = setup["pack"]
    return address, (address or ALL) if pack is None else pack


def ask(command: int, setup: kit.Setup, shape: Shape, *, info: bytes = b"", size: int = 0, tries: int = 2) -> kit.Ask:
    """One question.  Who is asked as "any" or for all packs may answer with an address of its own (section 3)."""
    address, pack = place(setup)
    kind, free = VERSION << 8 | setup["cid1"], address in (0, ALL) or pack == ALL

    def answers(reply: kit.Frame) -> bool:
        own = free or reply.address == address or (bool(info) and reply.payload[1:2] == info)
        return reply.kind == kind and own and (reply.status in CODES if reply.status else shape(reply.payload))

    return kit.Ask(
        request=kit.hex_frame(VERSION, address, setup["cid1"], command, info),
        split=SPLIT,
        answers=answers,
        size=size,
        timeout=2.5 if pack == ALL else 1.0,
        tries=tries,
    )


def of_packs(command: int, setup: kit.Setup, size: int) -> kit.Ask:
    """Ask for the records of one pack or of all; a master that answers for itself instead of a slave is refused."""
    address, pack = place(setup)

    def shape(info: bytes) -> bool:
        asked = pack in (ALL, address) or info[1:2] == bytes((pack,))
        return asked and bool(starts(info, command, pack))

    return ask(command, setup, shape, info=bytes((pack,)), size=0 if pack == ALL else size)


def starts(info: bytes, command: int, pack: int) -> tuple[int, ...]:
    """Where the packs' records begin, and the end; () when they do not fill the reply (section 5).

    Equal records divide the reply evenly; else the number of unknown bytes behind each is that which fits.
    """
    packs = info[1] if pack == ALL and len(info) > 1 else 1
    first = RECORDS[command].end(info, 2)
    if not first or not 1 <= packs <= MOST_PACKS:
        return ()
    likely = (len(info) - 2) // packs - (first - 2)
    for more in chain((likely,), range(LONGEST_MORE[command] + 1)):
        places = walked(info, command, packs, more) if 0 <= more <= LONGEST_MORE[command] else ()
        if places and places[-1] == len(info):
            return places
    return ()


def walked(info: bytes, command: int, packs: int, more: int) -> tuple[int, ...]:
    """Where records begin that have `more` bytes behind their known fields, and the end; () when one does not fit."""
    places = [2]
    for _ in range(packs):
        end = RECORDS[command].end(info, places[-1])
        if not end or not 1 <= info[places[-1]] <= MOST_CELLS:
            return ()
        places.append(end + more)
    return tuple(places)


def records(frames: Sequence[kit.Frame], command: int, setup: kit.Setup) -> list[tuple[kit.Values, bytes]]:
    """Each pack's values, and the bytes behind them.  Raises BadLength, DeviceRefused."""
    info = kit.hex_info(frames, CODES)
    places = starts(info, command, place(setup)[1])
    if not places:
        raise BadLength(f"0x{command:02X}: {len(info)} bytes are not the records of {info[1:2].hex() or 'no'} packs")
    walk = RECORDS[command]
    return [(walk.read(info, start), info[walk.end(info, start) : end]) for start, end in pairwise(places)]


# ---- what is measured


def analog(setup: kit.Setup, known: kit.Values) -> kit.Talk:
    """0x42 of one pack or all, or Modbus registers 0..36; packs whose cells are all 0 are off and left out."""
    if setup["modbus"]:
        return (yield from over_modbus(setup))
    frames = yield of_packs(ANALOG, setup, 140)
    found = {number: measured(*record) for number, record in enumerate(records(frames, ANALOG, setup), 1)}
    packs = {number: values for number, values in found.items() if any(values["cell_voltages"])}
    if not packs:
        raise WrongDevice("0x42: every cell of every pack is 0 V")
    return {"_packs": packs, "_most": max(len(found), known.get("_most", 0))}


def measured(values: kit.Values, more: bytes) -> kit.Values:
    """Values of one record; `more` are the bytes behind it (section 5)."""
    values |= sensors(values["_sensors"])
    values["cell_count"] = len(values["cell_voltages"])
    full, design = values["capacity"], values["_design"]
    computed = min(100.0, round(100 * values["remaining_capacity"] / full, 1)) if full else None
    values["soc"] = computed
    if more and more[0] <= 100 and (computed is None or abs(more[0] - computed) <= SOC_AGREES):
        values["soc"] = float(more[0])
    if len(more) > 9 and 1 <= more[9] <= 100:
        values["soh"] = float(more[9])
    elif full and design:
        values["soh"] = min(100.0, round(100 * full / design, 1))
    return values


def sensors(celsius: tuple[float, ...]) -> kit.Values:
    """Four are the cells'; six, or more, have a MOSFET's and one of the surroundings among them."""
    if len(celsius) < SENSORS_WITH_ROLES:
        return {"temperatures": celsius}
    return {"temperatures": celsius[:4], "mosfet_temperature": celsius[4], "ambient_temperature": celsius[5]}


def state(setup: kit.Setup, known: kit.Values) -> kit.Talk:
    """0x44 of one pack or all: switches, balancing, alarms; over Modbus they come with the rest."""
    if setup["modbus"]:
        return {}
    frames = yield of_packs(STATE, setup, 94)
    return {
        "_states": {number: switches(values) for number, (values, _) in enumerate(records(frames, STATE, setup), 1)}
    }


def switches(values: kit.Values) -> kit.Values:
    """Values of one state record; the first balance byte holds cells 1 to 8 by the document, unproven (section 5)."""
    block = bytes(values[name] for name in BLOCK)
    return {
        "charge_allowed": bool(block[2] & 2),
        "discharge_allowed": bool(block[2] & 4),
        **judged(block, int.from_bytes(block[5:7], "little"), len(values["_cell_codes"])),
    }


def judged(block: bytes, balance: int, cells: int) -> kit.Values:
    """Alarms and balancing."""
    return {
        "cell_balancing": kit.flags(balance, cells),
        "balancing": bool(balance),
        "alarms": kit.alarm_bits(int.from_bytes(block, "little"), ALARMS, SUPPORTED),
    }


def over_modbus(setup: kit.Setup) -> kit.Talk:
    """Registers 0..12 and 15..36; temperatures are signed and without offset here."""
    unit = place(setup)[0]
    pack = yield kit.Registers(unit, 0, 13, tries=2)
    values = MODBUS_PACK.read(pack[0].payload)
    rest = yield kit.Registers(unit, 15, MODBUS_CELLS + MODBUS_SENSORS, tries=2)
    millivolts = kit.words(rest[0].payload, 0, MODBUS_CELLS)
    count = max((n for n, cell in enumerate(millivolts, 1) if cell), default=0)
    if not count or not values["voltage"]:
        raise WrongDevice("Modbus: cells or pack of 0 V, nothing is there")
    status = values["_status"]
    block = values["_protections"].to_bytes(2, "little") + bytes((0, 0, status & 0xFF, 0, 0))
    tenths = kit.signed_words(rest[0].payload, 2 * MODBUS_CELLS, MODBUS_SENSORS)
    values |= {
        "cell_voltages": kit.divided(millivolts[:count], 1000),
        **sensors(tuple(tenth / 10 for tenth in tenths)),
    }
    switched = {
        "charge_allowed": bool(status & 1 << 10),
        "discharge_allowed": bool(status & 1 << 11),
        "heating": bool(status & 1 << 15),
        **judged(block + values["_warnings"].to_bytes(2, "little"), values["_balance"], count),
    }
    return {"_packs": {1: values}, "_states": {1: switched}, "_most": 1}


# ---- what is asked once


def count(setup: kit.Setup, known: kit.Values) -> kit.Talk:
    """0x90: how many packs a master has."""
    if setup["modbus"]:
        return {}
    frames = yield ask(COUNT, setup, lambda info: len(info) == 1)
    return {"_behind": int.from_bytes(kit.hex_info(frames, CODES), "big")}


def text_of(name: str, command: int, sizes: tuple[int, ...]) -> Callable[[kit.Setup, kit.Values], kit.Talk]:
    """The talk that learns a text of 20 characters, the first of those that come."""

    def talk(setup: kit.Setup, known: kit.Values) -> kit.Talk:
        if setup["modbus"]:
            frames = yield kit.Registers(place(setup)[0], MODBUS_TEXTS[name], 10)
            return {name: kit.text(frames[0].payload)}
        frames = yield ask(command, setup, lambda info: len(info) in sizes)
        return {name: kit.text(kit.hex_info(frames, CODES)[:20])}

    return talk


def trip_point(command: int) -> Callable[[kit.Setup, kit.Values], kit.Talk]:
    """The talk that learns a protection: flag, alarm, protection, ..., delay; 0 = off, not known."""
    name, scale = TRIP_POINTS[command]
    size = 8 if scale < 1 else 6

    def talk(setup: kit.Setup, known: kit.Values) -> kit.Talk:
        if setup["modbus"]:
            return {}
        frames = yield ask(command, setup, lambda info: len(info) == size, tries=1)
        info = kit.hex_info(frames, CODES)
        raw = int.from_bytes(info[3:5], "big", signed=scale == 1)
        return {name: round(abs(raw) * scale, 3) or None}

    return talk


def trip_points(setup: kit.Setup, known: kit.Values) -> kit.Talk:
    """All of them at once, over Modbus."""
    if not setup["modbus"]:
        return {}
    frames = yield kit.Registers(place(setup)[0], 60, 21)
    return {name: abs(value) or None for name, value in MODBUS_TRIPS.read(frames[0].payload).items()}


# ---- switching


def switch(command: int, name: str) -> kit.Control:
    """Open (01) or close (00) a FET of the board that is asked (section 7)."""

    def talk(value: float, setup: kit.Setup, known: kit.Values) -> kit.Talk:
        if setup["modbus"]:
            raise DeviceRefused("switching is known over the hex text protocol only")
        if place(setup)[1] == ALL and known.get("_most", 1) > 1:
            raise DeviceRefused("one of several packs cannot be switched; give it a battery of its own, with its pack")
        frames = yield ask(command, setup, lambda info: len(info) == 1, info=bytes((0 if value else 1,)), tries=1)
        kit.hex_info(frames, CODES)
        return {}

    return kit.Control(
        talk,
        kit.shown_by(name),
        "a wish: the board keeps one switch closed, and opens none against the current that flows",
    )


# ---- readings


def assemble(values: kit.Values, setup: kit.Setup) -> Mapping[str, Reading]:
    """One battery, or one for each pack of a set that ever had several; what is asked of the board is of the first."""
    packs: Packs = values.get("_packs", {})
    states: Packs = values.get("_states", {})
    once = {"manufacturer": "PACE", **{name: value for name, value in values.items() if name[0] != "_"}}
    numbers = list(packs or states) or [1]
    together: dict[int, dict[str, Any]] = {
        number: {**states.get(number, {}), **packs.get(number, {})} for number in numbers
    }
    several = max(values.get("_most", 1), len(numbers)) > 1
    readings = {}
    for number, found in together.items():
        told = {**(once if number == 1 else {"manufacturer": "PACE"}), **found}
        told = {name: value for name, value in told.items() if name[0] != "_"}
        readings[str(number) if several else ""] = Reading(**told)
    return readings


def proof(values: kit.Values) -> str:
    """Cells that make the pack's voltage (section 8)."""
    pack: kit.Values = next(iter(values.get("_packs", {}).values()), {})
    cells, voltage = pack.get("cell_voltages", ()), pack.get("voltage", 0.0)
    shares = max(pack.get("soc") or 0, pack.get("soh") or 0)
    if not cells or abs(sum(cells) - voltage) > 0.03 * sum(cells) or shares > 100:
        raise WrongDevice(f"no PACE: {voltage:.2f} V, but the cells make {sum(cells):.2f} V")
    packs = max(values.get("_most", 1), values.get("_behind", 1))
    more = f", {packs} packs (all of them with pack: {ALL})" if packs > 1 else ""
    return f"PACE {values.get('firmware_version') or 'BMS'} with {len(cells)} cells{more}"


def asked_with(request: bytes) -> kit.Values:
    """Address and pack of a recorded request; the pack count is asked of the master whatever follows."""
    if len(request) == 8 and request[1] == 3:
        return {"address": request[0], "modbus": True}
    for item in SPLIT(bytearray(request)):
        if isinstance(item, kit.Frame) and item.status != COUNT:
            told: kit.Values = {"address": item.address, "cid1": item.kind & 0xFF}
            if item.status in RECORDS and item.payload:
                told["pack"] = item.payload[0]
            return told
    return {}


DRIVER: Final = kit.Driver(
    name="pace",
    title="PACE BMS (PBmsTools; SOK, Jakiper, Gobel, ...)",
    line=kit.SerialLine(baud=9600, quiet=0.2, turnaround=0.1),
    options=(
        kit.Option(
            "address", MASTER, "DIP switches; 1 = the master of a set; all = each pack behind it, a battery of its own",
            choices=(*range(16), "all"),
        ),
        kit.Option("pack", None, "pack behind a master, 255 = each of them; default the address", least=0, most=255),
        kit.rates(9600, 115200),
        kit.Option("modbus", False, "true = the RS485 port is set to 'Pace Modbus'", kind=bool),
        kit.Option("cid1", 0x46, "79 (0x4F) on some boards of 14 Li-ion cells", choices=(0x46, 0x4F)),
    ),
    plan=(
        kit.Poll(
            "analog", analog, essential=True,
            gives=(*ANALOG_RECORD.names, "soc", "soh", "temperatures", "mosfet_temperature", "ambient_temperature"),
        ),
        kit.Poll(
            "state", state, keep=0,  # unknown at once where it is missing, as with seplos
            gives=("charge_allowed", "discharge_allowed", "cell_balancing", "balancing", "alarms"),
        ),
        kit.Poll(
            "version", text_of("firmware_version", SOFTWARE, (20,)), gives=("firmware_version",), every=kit.ONCE
        ),
        kit.Poll("product", text_of("serial_number", PRODUCT, (20, 40)), gives=("serial_number",), every=kit.ONCE),
        kit.Poll("count", count, every=kit.ONCE),
        *(
            kit.Poll(name, trip_point(command), gives=(name,), every=kit.ONCE)
            for command, (name, _) in TRIP_POINTS.items()
        ),
        kit.Poll("trip_points", trip_points, every=kit.ONCE),
    ),
    secrets=(kit.secrets.hex_text(b"~", PRODUCT, range(40)), kit.secrets.registers(range(160, 170))),
    assemble=assemble,
    detection=kit.Detection(
        polls=("analog", "version", "count"), proof=proof, anybody=(0,),
        setups=({"address": 1}, {"address": 0}, {"address": 1, "modbus": True}),
        siblings=tuple({"address": address} for address in range(2, 16)),
    ),
    controls={"charge": switch(0x9A, "charge_allowed"), "discharge": switch(0x9B, "discharge_allowed")},
    standing="decoded from captures",
    unseen=(
        "alarms", "cell_overvoltage_protection", "cell_undervoltage_protection", "max_battery_voltage",
        "max_charge_current", "max_discharge_current", "min_battery_voltage", "a cell being balanced", "8 or 13 cells",
        "4 or 8 sensors", "PACE Modbus (the maker's document only)",
    ),
    daisy_chain=True,
    asked_with=asked_with,
)  # fmt: skip
